//! Errors of hyper, and what hyper-util's pooled client tells.

use std::{any::Any, error::Error, net::SocketAddr};

use http::Extensions;
use hyper_util::client::legacy::{self, connect::HttpInfo};

use tower_otel_semconv::{self as semconv, error::chain};

pub(super) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return Some(error);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return Some(error);
    }
    None
}

/// The cause of a failure, else what hyper says of the connection, else that there never was one.
pub(super) fn classify(error: &(dyn Error + 'static)) -> Option<&'static str> {
    semconv::error::classify(error)
        .or_else(|| chain(error).find_map(connection))
        .or_else(|| chain(error).find_map(connecting))
}

fn connection(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_timeout() {
        Some(semconv::error::TIMEOUT)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        // A request is cancelled, in hyper's words, if the connection goes before it could.
        Some(semconv::error::CONNECTION_CLOSED)
    } else {
        None
    }
}

fn connecting(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let error = error.downcast_ref::<legacy::Error>()?;
    error.is_connect().then_some(semconv::error::CONNECT)
}

/// The address that hyper-util's connector was connected to.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().map(HttpInfo::remote_addr)
}
