//! How an exchange ends, and what each end means for `error.type`.

use std::{any::Any, error::Error, fmt};

use http::{HeaderMap, StatusCode};

use crate::Kind;
use tower_otel_semconv as semconv;

/// How one exchange ended. Every exchange has exactly one end.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum End<'a> {
    /// The response was produced whole: its body ran to its end, or could not have one.
    Complete {
        /// The trailers, where the body ended with some.
        trailers: Option<&'a HeaderMap>,
    },
    /// The handshake of an upgrade was answered: `101 Switching Protocols`, or success for a
    /// `CONNECT`. What follows on the connection is another protocol and not observed.
    Upgraded,
    /// The inner service or the response body returned an error.
    Failed(Failure<'a>),
    /// The response future was dropped before it yielded a response: on a server because the
    /// peer hung up or an outer layer gave up waiting, on a client because the caller did.
    Cancelled,
    /// The response body was dropped before its end.
    Aborted,
    /// The inner service or the response body panicked. The panic goes on to whoever catches it.
    Panicked,
}

impl End<'_> {
    /// The value of `error.type` for this end, if it is an error for this kind of exchange.
    ///
    /// Spans and metrics both ask here, so that they cannot disagree. A failure or a panic is
    /// named first; then a status that is an error by itself; then, on a server, a peer that went
    /// away. A client that cancels, or leaves a body unread, has decided so: not an error.
    ///
    /// See [recording errors](https://opentelemetry.io/docs/specs/semconv/general/recording-errors/).
    pub fn error_type(&self, kind: Kind, status: Option<StatusCode>) -> Option<&'static str> {
        match self {
            Self::Failed(failure) => {
                return Some(match (failure.error_type(), status) {
                    // What fails after the head is the body, if nothing more is known.
                    (semconv::OTHER, Some(_)) => semconv::error::BODY,
                    (named, _) => named,
                });
            }
            Self::Panicked => return Some(semconv::error::PANIC),
            _ => {}
        }
        let by_status =
            status.and_then(|status| semconv::status::error_type(kind, status.as_u16()));
        by_status.or(match (self, kind) {
            (Self::Cancelled, Kind::Server) => Some(semconv::error::CANCELLED),
            (Self::Aborted, Kind::Server) => Some(semconv::error::ABORTED),
            _ => None,
        })
    }
}

/// The error that ended an exchange, borrowed from whoever returned it.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    error: &'a dyn Any,
    message: &'a dyn fmt::Display,
    type_name: &'static str,
}

impl<'a> Failure<'a> {
    /// Describes an error. Nothing is asked of it but that it can be shown.
    pub fn new<T: fmt::Display + 'static>(error: &'a T) -> Self {
        Self {
            error,
            message: error,
            type_name: std::any::type_name::<T>(),
        }
    }

    /// The error's own text. It may hold anything, so it belongs in no attribute of low
    /// cardinality and nowhere without a thought for what it may reveal.
    pub fn message(&self) -> &'a dyn fmt::Display {
        self.message
    }

    /// The type of the error, as a path; nothing where a box has erased it.
    pub fn type_name(&self) -> Option<&'static str> {
        let path = self.type_name.split('<').next().unwrap_or_default();
        (path.contains("::") && !path.starts_with("alloc::")).then_some(path)
    }

    /// The error as its own type.
    pub fn downcast_ref<T: 'static>(&self) -> Option<&'a T> {
        self.error.downcast_ref()
    }

    /// The error as a [`std::error::Error`], where its type is one this crate can recognise: the
    /// boxed errors of tower, `std::io::Error`, and those of axum, hyper, reqwest and tonic with
    /// the features for them.
    pub fn as_error(&self) -> Option<&'a (dyn Error + 'static)> {
        if let Some(error) = self.downcast_ref::<Box<dyn Error + Send + Sync>>() {
            return Some(&**error);
        }
        if let Some(error) = self.downcast_ref::<Box<dyn Error + Send>>() {
            return Some(&**error);
        }
        if let Some(error) = self.downcast_ref::<Box<dyn Error>>() {
            return Some(&**error);
        }
        if let Some(error) = self.downcast_ref::<std::io::Error>() {
            return Some(error);
        }
        crate::adapt::as_error(self.error)
    }

    /// A name for this kind of failure, from a set that is bounded by the program's own types:
    /// what the chain of causes says (a time-out, a refused connection), else the type of the
    /// error, else [`semconv::OTHER`] where the type was erased.
    pub fn error_type(&self) -> &'static str {
        let Some(error) = self.as_error() else {
            return self.type_name().unwrap_or(semconv::OTHER);
        };
        crate::adapt::classify(error)
            .or_else(|| semconv::error::classify(error))
            .unwrap_or(semconv::OTHER)
    }

    /// The gRPC status the error carries, if it is one that does (tonic's, with the feature `tonic`).
    pub(crate) fn grpc_status(&self) -> Option<u8> {
        crate::adapt::grpc_status(self.as_error()?)
    }
}

/// Without the message, which may hold anything.
impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("type_name", &self.type_name)
            .field("error_type", &self.error_type())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    type BoxError = Box<dyn Error + Send + Sync>;

    struct Odd;

    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("odd")
        }
    }

    fn timed_out() -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, "user 42 was too slow")
    }

    #[test]
    fn a_boxed_error_is_named_by_its_cause() {
        let error: BoxError = Box::new(timed_out());
        assert_eq!(Failure::new(&error).error_type(), "timeout");
    }

    #[test]
    fn an_error_that_is_only_displayed_is_named_by_its_type() {
        assert_eq!(
            Failure::new(&Odd).error_type(),
            "tower_otel_core::end::tests::Odd"
        );
    }

    #[test]
    fn an_erased_error_without_a_known_cause_is_other() {
        let error: BoxError = "user 42 said no".into();
        assert_eq!(Failure::new(&error).error_type(), "_OTHER");
        assert_eq!(
            Failure::new(&String::from("free text")).error_type(),
            "_OTHER"
        );
    }

    #[test]
    fn every_end_names_its_error_by_kind_and_status() {
        let failure = timed_out();
        let failed = End::Failed(Failure::new(&failure));
        let erased: BoxError = "user 42 said no".into();
        let odd = End::Failed(Failure::new(&erased));
        let complete = End::Complete { trailers: None };
        let ok = Some(StatusCode::OK);
        let missing = Some(StatusCode::NOT_FOUND);
        let broken = Some(StatusCode::BAD_GATEWAY);
        for (end, status, server, client) in [
            (complete, ok, None, None),
            (complete, missing, None, Some("404")),
            (complete, broken, Some("502"), Some("502")),
            (
                End::Upgraded,
                Some(StatusCode::SWITCHING_PROTOCOLS),
                None,
                None,
            ),
            (failed, None, Some("timeout"), Some("timeout")),
            (failed, ok, Some("timeout"), Some("timeout")),
            (odd, None, Some("_OTHER"), Some("_OTHER")),
            (odd, ok, Some("body"), Some("body")),
            (End::Cancelled, None, Some("cancelled"), None),
            (End::Aborted, ok, Some("aborted"), None),
            (End::Aborted, broken, Some("502"), Some("502")),
            (End::Panicked, None, Some("panic"), Some("panic")),
            (End::Panicked, ok, Some("panic"), Some("panic")),
        ] {
            assert_eq!(
                end.error_type(Kind::Server, status),
                server,
                "server, {end:?} after {status:?}"
            );
            assert_eq!(
                end.error_type(Kind::Client, status),
                client,
                "client, {end:?} after {status:?}"
            );
        }
    }
}
