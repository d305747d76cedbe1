//! Errors of tonic, and the peer address of its requests.

use std::{any::Any, error::Error, net::SocketAddr};

use h2::Reason;
use http::Extensions;
use tonic::{
    Code, ConnectError, Status, TimeoutExpired,
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

/// Returns the class of an error of tonic: its own timeout, or a failed connection.
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

/// Returns the code of the first `Status` in the chain of sources, or the code of a reset stream.
pub(super) fn status(error: &(dyn Error + 'static)) -> Option<u8> {
    let code = chain(error).find_map(|cause| match cause.downcast_ref::<Status>() {
        Some(status) => Some(status.code()),
        None => reset_code(cause.downcast_ref::<h2::Error>()?.reason()?),
    })?;
    u8::try_from(i32::from(code)).ok()
}

/// Returns the code of a call whose stream was reset. tonic returns the same code to the caller.
///
/// See [errors](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors).
fn reset_code(reason: Reason) -> Option<Code> {
    Some(match reason {
        Reason::NO_ERROR
        | Reason::PROTOCOL_ERROR
        | Reason::INTERNAL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::SETTINGS_TIMEOUT
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::CONNECT_ERROR => Code::Internal,
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => return None,
    })
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
    fn a_reset_stream_has_the_status_that_tonic_returns() {
        for number in 0..16 {
            let reset = || h2::Error::from(Reason::from(number));
            let expected = match Status::from_error(reset().into()).code() {
                Code::Unknown => None,
                code => u8::try_from(i32::from(code)).ok(),
            };
            assert_eq!(status(&reset()), expected, "{}", reset());
        }
    }

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
