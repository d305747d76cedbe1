//! Requests and responses with a secret in every place: no secret is in the protobuf of spans and
//! metrics, in the text of a scrape, in the log or in the headers of outgoing requests.
//!
//! The tests search the bytes of each output. The same search must find the allowed values.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod exchange;
mod outputs;
mod searches;
