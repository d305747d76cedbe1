//! Errors, extensions and services of other libraries.
//!
//! Each function covers every library whose feature is enabled.

use std::{any::Any, error::Error, net::SocketAddr};

use http::Extensions;

#[cfg(any(feature = "reqwest", feature = "tower"))]
use tower_otel_semconv as semconv;

mod axum;
#[cfg(feature = "hyper-util")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
#[cfg(feature = "tonic")]
mod tonic;

/// The gRPC status of a call that load shedding rejects.
#[cfg(feature = "tower")]
const RESOURCE_EXHAUSTED: u8 = 8;

/// Returns an error of a supported library as a [`std::error::Error`].
pub(crate) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<::reqwest::Error>() {
        return Some(error);
    }
    #[cfg(feature = "hyper-util")]
    if let Some(error) = hyper::as_error(error) {
        return Some(error);
    }
    #[cfg(feature = "reqwest-middleware")]
    if let Some(error) = error.downcast_ref::<::reqwest_middleware::Error>() {
        return Some(error);
    }
    #[cfg(feature = "axum")]
    if let Some(error) = error.downcast_ref::<::axum::Error>() {
        return Some(error);
    }
    #[cfg(feature = "tonic")]
    if let Some(error) = tonic::as_error(error) {
        return Some(error);
    }
    let _ = error;
    None
}

/// Returns the class of an error of a supported library. Returns `None` if no enabled library knows the error.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "tower")]
    if semconv::error::chain(error).any(|error| error.is::<tower::timeout::error::Elapsed>()) {
        return Some(semconv::error::TIMEOUT);
    }
    #[cfg(feature = "reqwest")]
    if let Some(class) = semconv::error::chain(error)
        .filter_map(|error| error.downcast_ref())
        .find_map(reqwest::classify)
    {
        return Some(class);
    }
    #[cfg(feature = "reqwest-middleware")]
    if let Some(class) = reqwest_middleware::client_error(error).and_then(reqwest::classify) {
        return Some(class);
    }
    #[cfg(feature = "hyper-util")]
    if let Some(class) = hyper::classify(error) {
        return Some(class);
    }
    #[cfg(feature = "tonic")]
    if let Some(class) = tonic::classify(error) {
        return Some(class);
    }
    let _ = error;
    None
}

/// Returns the gRPC status code of an error.
pub(crate) fn grpc_status(error: &(dyn Error + 'static)) -> Option<u8> {
    #[cfg(feature = "tonic")]
    if let Some(code) = tonic::status(error) {
        return Some(code);
    }
    // tonic sends and returns this status for a call that load shedding rejects.
    #[cfg(feature = "tower")]
    if error.is::<tower::load_shed::error::Overloaded>() {
        return Some(RESOURCE_EXHAUSTED);
    }
    let _ = error;
    None
}

/// Returns the peer address that a supported library stored in the extensions of a request or response.
pub(crate) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "connect-info")]
    if let Some(info) = extensions.get::<::axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(info.0);
    }
    #[cfg(feature = "hyper-util")]
    if let Some(address) = hyper::peer(extensions) {
        return Some(address);
    }
    #[cfg(feature = "tonic")]
    if let Some(address) = tonic::peer(extensions) {
        return Some(address);
    }
    let _ = extensions;
    None
}

/// Returns whether `call` of a service may run code of the application. The routes and routers of axum run it when their
/// future is polled.
#[inline]
pub(crate) fn runs_code_in_call<S>() -> bool {
    !cfg!(feature = "axum") || !axum::is_route::<S>()
}
