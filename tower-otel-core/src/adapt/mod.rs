//! Foreign types, adapted at the edge.

use std::{any::Any, error::Error};

#[cfg(feature = "reqwest")]
mod reqwest;

/// Errors of the libraries this crate was told about, as errors one can walk.
pub(crate) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<::reqwest::Error>() {
        return Some(error);
    }
    #[cfg(feature = "axum")]
    if let Some(error) = error.downcast_ref::<axum::Error>() {
        return Some(error);
    }
    let _ = error;
    None
}

/// What a library knows of its own error beyond the chain of causes.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<::reqwest::Error>() {
        return reqwest::classify(error);
    }
    let _ = error;
    None
}
