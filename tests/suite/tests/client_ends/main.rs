//! All ends of a client exchange over sockets. Span, counter, histogram and gauge record each
//! exchange once, with equal values. The servers have no layers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod complete;
mod dropped;
mod errors;
mod exchange;
mod expected;
mod panics;
mod reqwest_ends;
mod reqwest_exchange;
mod reqwest_responses;
mod transparency;
mod upgrade;
