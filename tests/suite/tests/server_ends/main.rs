//! All ends of a server exchange, over real sockets: span, counter, histogram and gauge record each
//! exchange once, with the same `error.type`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod complete;
mod disconnects;
mod errors;
mod exchange;
mod panics;
mod upgrade;
