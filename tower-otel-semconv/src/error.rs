//! The values `error.type` takes when no status code explains the failure.
//!
//! A message names files, addresses and sometimes secrets, and never repeats; so an error is put into one of a few
//! classes, and one that fits none is `_OTHER`. Spans and metrics use the same value.
//!
//! See [error attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).

use std::error::Error;
use std::io::{self, ErrorKind};

pub use super::OTHER;

/// Time ran out.
pub const TIMEOUT: &str = "timeout";
/// The exchange was given up before there was a response. On a server that is an error; a client that drops its own
/// request meant to, so there this is no `error.type`.
pub const CANCELLED: &str = "cancelled";
/// The response had begun, and its reader went away before the body's end.
pub const ABORTED: &str = "aborted";
/// A handler or a body panicked.
pub const PANIC: &str = "panic";
/// No connection could be made, for a reason without a name of its own here.
pub const CONNECT: &str = "connect";
/// Nobody listens there.
pub const CONNECTION_REFUSED: &str = "connection_refused";
/// The other end, or the network, tore the connection down.
pub const CONNECTION_RESET: &str = "connection_reset";
/// The connection was already closed, or ended in the middle of a message.
pub const CONNECTION_CLOSED: &str = "connection_closed";
/// A body failed while it was sent or read.
pub const BODY: &str = "body";
/// A client was redirected too often, or to where it may not go.
pub const REDIRECT: &str = "redirect";

/// How many errors of a chain are looked at: more than any honest chain has.
const MAX_DEPTH: usize = 32;

/// The class of an error, found by walking its sources for an [`io::Error`] that says what happened.
///
/// `None` when none does: an adapter that knows its error type better asks that first, and what is left over is
/// [`OTHER`]. Looks at 32 errors of the chain at most.
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

/// Iterates over an error and its sources, at most 32 of them. The error that an `io::Error` wraps counts as its source.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    let errors = std::iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>() {
            // `source` of an io::Error passes over the error it wraps.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
        Some(error)
    });
    errors.take(MAX_DEPTH)
}

/// The class of an I/O error's kind; `None` for kinds that say nothing about a connection.
#[must_use]
pub fn io_class(kind: ErrorKind) -> Option<&'static str> {
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
    struct Ouroboros;

    impl fmt::Display for Ouroboros {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ouroboros")
        }
    }

    impl Error for Ouroboros {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }

    #[test]
    fn the_kind_of_an_io_error_decides() {
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
    fn an_io_error_is_found_beneath_its_wrappers() {
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
    fn an_error_that_says_nothing_has_no_class() {
        assert_eq!(classify(&Wrapped(fmt::Error)), None);
        assert_eq!(
            classify(&io::Error::other("a message with a secret in it")),
            None
        );
    }

    #[test]
    fn an_endless_chain_ends() {
        assert_eq!(classify(&Ouroboros), None);
    }
}
