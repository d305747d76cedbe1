//! The page, over a socket.
#![cfg(all(feature = "page", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod access;
mod bounds;
mod client;
mod exporters;
mod files;
mod settings;
mod traces;
