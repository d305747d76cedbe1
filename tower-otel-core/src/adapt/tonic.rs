//! What tonic's errors and requests say.

use std::{any::Any, error::Error, net::SocketAddr};

use http::Extensions;
use tonic::{
    ConnectError, Status, TimeoutExpired,
    transport::{self, server::TcpConnectInfo},
};

use tower_otel_semconv::error::{self, chain};

pub(super) fn as_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    if let Some(status) = error.downcast_ref::<Status>() {
        return Some(status);
    }
    let error = error.downcast_ref::<transport::Error>()?;
    Some(error)
}

/// Whether time ran out by tonic's own clock, or there never was a connection.
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

/// The code of the first `Status` in the chain.
pub(super) fn status(error: &(dyn Error + 'static)) -> Option<u8> {
    let status = chain(error).find_map(|cause| cause.downcast_ref::<Status>())?;
    u8::try_from(i32::from(status.code())).ok()
}

pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<TcpConnectInfo>()?.remote_addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;
    use std::io;

    #[test]
    fn a_status_keeps_its_code() {
        let failure = Status::data_loss("a secret");
        assert_eq!(Failure::new(&failure).grpc_status(), Some(15));
        let boxed: Box<dyn Error + Send + Sync> = Box::new(Status::not_found("a secret"));
        assert_eq!(Failure::new(&boxed).grpc_status(), Some(5));
    }

    #[test]
    fn an_expired_timeout_is_a_timeout() {
        let expired: Box<dyn Error + Send + Sync> = Box::new(TimeoutExpired(()));
        assert_eq!(Failure::new(&expired).error_type(), "timeout");
        assert_eq!(Failure::new(&expired).grpc_status(), None);
    }

    #[test]
    fn a_connection_that_never_was_is_named_by_its_cause() {
        let refused = ConnectError(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(classify(&refused), Some("connection_refused"));
        assert_eq!(classify(&ConnectError("odd".into())), Some("connect"));
    }
}
