//! Errors of hyper and of hyper-util's pooled client, and the client's peer address.

use std::{any::Any, error::Error, net::SocketAddr};

use http::Extensions;
use hyper_util::client::legacy::{self, connect::HttpInfo};

use tower_otel_semconv::{self as semconv, error::chain};

/// Returns an error of hyper or hyper-util as a [`std::error::Error`].
pub(super) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return Some(error);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return Some(error);
    }
    None
}

/// Returns the class of the error's I/O error, else of hyper's error, else `connect` for a failed connection.
pub(super) fn classify(error: &(dyn Error + 'static)) -> Option<&'static str> {
    semconv::error::classify(error)
        .or_else(|| chain(error).find_map(connection_class))
        .or_else(|| chain(error).find_map(connect_class))
}

/// Returns the class of an error on an established connection.
fn connection_class(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_timeout() {
        Some(semconv::error::TIMEOUT)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        // hyper reports `is_canceled` if the connection closes before it sends the request.
        Some(semconv::error::CONNECTION_CLOSED)
    } else {
        None
    }
}

/// Returns `connect` if the connection could not be established.
fn connect_class(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let error = error.downcast_ref::<legacy::Error>()?;
    error.is_connect().then_some(semconv::error::CONNECT)
}

/// Returns the address that hyper-util's connector is connected to.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().map(HttpInfo::remote_addr)
}
