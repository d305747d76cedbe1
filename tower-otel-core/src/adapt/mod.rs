//! Foreign types, adapted at the edge.

use std::{any::Any, error::Error};

#[cfg(feature = "tower")]
use crate::semconv;

#[cfg(feature = "hyper-util")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;

#[cfg(feature = "hyper-util")]
pub(crate) use hyper::peer;

/// Errors of the libraries this crate was told about, as errors one can walk.
pub(crate) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<::reqwest::Error>() {
        return Some(error);
    }
    #[cfg(feature = "hyper-util")]
    if let Some(error) = hyper::as_error(error) {
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
    #[cfg(feature = "tower")]
    if semconv::error::chain(error).any(|error| error.is::<tower::timeout::error::Elapsed>()) {
        return Some(semconv::error::TIMEOUT);
    }
    #[cfg(feature = "reqwest")]
    if let Some(class) = error.downcast_ref().and_then(reqwest::classify) {
        return Some(class);
    }
    #[cfg(feature = "hyper-util")]
    if let Some(class) = hyper::classify(error) {
        return Some(class);
    }
    let _ = error;
    None
}
