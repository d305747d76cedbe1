//! Values of `error.type` for HTTP status codes, and for failures without a status code.
//!
//! Error messages have high cardinality and may contain addresses or secrets. Each error is mapped to one of a few
//! classes, or to [`OTHER`](crate::OTHER). Spans and metrics record the same value.
//!
//! See [error attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).

use std::error::Error;
use std::io::{self, ErrorKind};

pub use crate::status::of_status;

/// A timeout or deadline expired.
pub const TIMEOUT: &str = "timeout";
/// The response future was dropped before it was ready. Recorded on servers only, because the caller of a client drops
/// the future on purpose.
pub const CANCELLED: &str = "cancelled";
/// The response body was dropped before its end. Recorded on servers only.
pub const ABORTED: &str = "aborted";
/// The inner service, the response body or a function of the application panicked.
pub const PANIC: &str = "panic";
/// The connection could not be established, and no other class of this module applies.
pub const CONNECT: &str = "connect";
/// The connection was refused: no process listens on the address.
pub const CONNECTION_REFUSED: &str = "connection_refused";
/// The peer or the network reset or aborted the connection.
pub const CONNECTION_RESET: &str = "connection_reset";
/// The connection was closed before the message was complete.
pub const CONNECTION_CLOSED: &str = "connection_closed";
/// The response body failed, and nothing more specific is known.
pub const BODY: &str = "body";
/// The client followed too many redirects, or its redirect policy returned an error.
pub const REDIRECT: &str = "redirect";

/// The maximum number of errors of a chain that are examined. Bounds the cost of a cyclic chain.
const MAX_DEPTH: usize = 32;

/// Returns the class of an error, taken from the first [`io::Error`] with a known kind in its chain of sources.
///
/// Examines at most 32 errors of the chain. Returns `None` if no kind is known; the caller then records
/// [`OTHER`](crate::OTHER).
///
/// ```
/// use std::io;
/// use tower_otel_semconv::error;
///
/// let inner = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(error::classify(&io::Error::other(inner)), Some(error::CONNECTION_REFUSED));
/// assert_eq!(error::classify(&std::fmt::Error), None);
/// ```
#[must_use]
pub fn classify(error: &(dyn Error + 'static)) -> Option<&'static str> {
    chain(error).find_map(|error| io_class(error.downcast_ref::<io::Error>()?.kind()))
}

/// Returns an iterator over an error and its sources, at most 32 errors.
///
/// The error inside an [`io::Error`] is treated as its source.
#[doc(hidden)]
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    let errors = std::iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>() {
            // `io::Error::source` skips the wrapped error.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
        Some(error)
    });
    errors.take(MAX_DEPTH)
}

/// Returns the class of an I/O error. Returns `None` for kinds that do not concern a connection.
fn io_class(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::TimedOut => TIMEOUT,
        ErrorKind::ConnectionRefused => CONNECTION_REFUSED,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => CONNECTION_RESET,
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::NotConnected => {
            CONNECTION_CLOSED
        }
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => CONNECT,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Wrapped<E>(E);

    impl<E> fmt::Display for Wrapped<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl<E: Error + 'static> Error for Wrapped<E> {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[derive(Debug)]
    struct Cyclic;

    impl fmt::Display for Cyclic {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cyclic")
        }
    }

    impl Error for Cyclic {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }

    #[test]
    fn an_io_error_is_classified_by_its_kind() {
        for (kind, class) in [
            (ErrorKind::TimedOut, Some("timeout")),
            (ErrorKind::ConnectionRefused, Some("connection_refused")),
            (ErrorKind::ConnectionReset, Some("connection_reset")),
            (ErrorKind::ConnectionAborted, Some("connection_reset")),
            (ErrorKind::BrokenPipe, Some("connection_closed")),
            (ErrorKind::UnexpectedEof, Some("connection_closed")),
            (ErrorKind::NotConnected, Some("connection_closed")),
            (ErrorKind::HostUnreachable, Some("connect")),
            (ErrorKind::NetworkUnreachable, Some("connect")),
            (ErrorKind::InvalidData, None),
            (ErrorKind::Other, None),
        ] {
            assert_eq!(classify(&io::Error::from(kind)), class, "{kind:?}");
        }
    }

    #[test]
    fn a_wrapped_io_error_is_found() {
        let reset = || io::Error::from(ErrorKind::ConnectionReset);
        assert_eq!(classify(&Wrapped(Wrapped(reset()))), Some(CONNECTION_RESET));
        assert_eq!(
            classify(&io::Error::other(Wrapped(reset()))),
            Some(CONNECTION_RESET)
        );
        assert_eq!(
            classify(&Wrapped(io::Error::other(reset()))),
            Some(CONNECTION_RESET)
        );
    }

    #[test]
    fn an_unknown_error_has_no_class() {
        assert_eq!(classify(&Wrapped(fmt::Error)), None);
        assert_eq!(
            classify(&io::Error::other("a message with a secret in it")),
            None
        );
    }

    #[test]
    fn a_cyclic_chain_terminates() {
        assert_eq!(classify(&Cyclic), None);
    }
}
