//! Implementations of this crate's traits for the types of reqwest.

mod request_builder;
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;

pub use request_builder::RequestBuilderExt;
