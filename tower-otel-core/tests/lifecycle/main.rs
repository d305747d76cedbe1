//! All ends of an exchange, with scripted services and bodies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod announced_length;
mod body_ends;
mod context;
mod exchange;
mod future_ends;
mod head_ends;
mod observer_panics;
mod panics;
mod recording_observer;
mod scripted_body;
mod transparency;
