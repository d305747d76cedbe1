//! The libraries that a layer records with.

pub(crate) mod facade;
pub(crate) mod instruments;
#[cfg(feature = "opentelemetry")]
pub(crate) mod opentelemetry;
