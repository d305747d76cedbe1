//! Errors of tonic, and the peer address of its requests.

use std::{any::Any, error::Error, net::SocketAddr};

use http::Extensions;
use tonic::{
    ConnectError, Status, TimeoutExpired,
    transport::{self, server::TcpConnectInfo},
};

use tower_otel_semconv::error::{self, chain};

/// Returns an error of tonic as a [`std::error::Error`].
pub(super) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    if let Some(status) = error.downcast_ref::<Status>() {
        return Some(status);
    }
    let error = error.downcast_ref::<transport::Error>()?;
    Some(error)
}

/// Returns the class of an error of tonic: its own time-out, or a connection that could not be established.
pub(super) fn classify(error: &(dyn Error + 'static)) -> Option<&'static str> {
    chain(error).find_map(|cause| {
        if cause.is::<TimeoutExpired>() {
            Some(error::TIMEOUT)
        } else if cause.is::<ConnectError>() {
            Some(error::classify(cause).unwrap_or(error::CONNECT))
        } else {
            None
        }
    })
}

/// Returns the code of the first `Status` in the chain of sources.
pub(super) fn status(error: &(dyn Error + 'static)) -> Option<u8> {
    let status = chain(error).find_map(|cause| cause.downcast_ref::<Status>())?;
    u8::try_from(i32::from(status.code())).ok()
}

/// Returns the peer address of a request that tonic's server received.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<TcpConnectInfo>()?.remote_addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_failed_connection_is_classified_by_its_source() {
        let refused = ConnectError(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(classify(&refused), Some("connection_refused"));
        assert_eq!(
            classify(&ConnectError("unclassified".into())),
            Some("connect")
        );
    }
}
