//! Implementations of this crate's traits for the types of reqwest.

mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
