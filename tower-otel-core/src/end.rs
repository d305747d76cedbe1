//! The end of an exchange and its `error.type`.

use std::{
    any::Any,
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use http::{HeaderMap, StatusCode};

use tower_otel_semconv::{self as semconv, Kind};

use crate::foreign;

/// How an exchange ended. Every exchange ends exactly once.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum End<'a> {
    /// The response is complete: its body reached its end, or it has no body.
    Complete {
        /// The trailers of the body, if it has any.
        trailers: Option<&'a HeaderMap>,
    },
    /// The connection was upgraded: the response is `101 Switching Protocols`, or `2xx` to a `CONNECT`.
    ///
    /// The connection that follows is observed only with [`LongLived::run`](crate::LongLived::run).
    Upgraded,
    /// The inner service or the response body returned an error, or the body was shorter than the head announced.
    Failed(Failure<'a>),
    /// The response future was dropped before the response.
    ///
    /// On a server, the client disconnected or an outer layer timed out. On a client, the caller dropped the future.
    Cancelled,
    /// The response body was dropped before its end, for example because the client of a server disconnected.
    Aborted,
    /// The inner service, the response body or a function of the application panicked. The panic continues.
    Panicked,
}

impl End<'_> {
    /// Returns `error.type` for this end, or `None` if it is not an error for this kind of exchange.
    ///
    /// The first of these applies:
    ///
    /// | end | `error.type` |
    /// |---|---|
    /// | failed | [`Failure::error_type`]; `body` instead of `_OTHER` if there is a status |
    /// | panicked | `panic` |
    /// | a status code that is an error for this kind | the status code, such as `503` |
    /// | cancelled, on a server | `cancelled` |
    /// | aborted, on a server | `aborted` |
    ///
    /// On a client, `Cancelled` and `Aborted` are not errors.
    ///
    /// See [recording errors](https://opentelemetry.io/docs/specs/semconv/general/recording-errors/).
    #[inline]
    pub fn error_type(&self, kind: Kind, status: Option<StatusCode>) -> Option<&'static str> {
        // Most exchanges end like this. No status below 400 is an error.
        let is_complete = matches!(self, Self::Complete { .. } | Self::Upgraded);
        if is_complete && status.is_none_or(|status| status.as_u16() < 400) {
            return None;
        }
        self.error_type_by_status(kind, status)
    }

    #[inline(never)]
    fn error_type_by_status(&self, kind: Kind, status: Option<StatusCode>) -> Option<&'static str> {
        match self {
            Self::Failed(failure) => {
                return Some(match (failure.error_type(), status) {
                    // An unclassified failure after the response head is a failure of the body.
                    (semconv::OTHER, Some(_)) => semconv::error::BODY,
                    (error_type, _) => error_type,
                });
            }
            Self::Panicked => return Some(semconv::error::PANIC),
            _ => {}
        }
        let status_error =
            status.and_then(|status| semconv::error::of_status(kind, status.as_u16()));
        status_error.or(match (self, kind) {
            (Self::Cancelled, Kind::Server) => Some(semconv::error::CANCELLED),
            (Self::Aborted, Kind::Server) => Some(semconv::error::ABORTED),
            _ => None,
        })
    }
}

/// The error that ended an exchange, borrowed from the service or body that returned it.
///
/// ```
/// use std::io;
/// use tower_otel_core::End;
///
/// fn is_refused(end: &End<'_>) -> bool {
///     let End::Failed(failure) = end else { return false };
///     let error = failure.downcast_ref::<io::Error>();
///     error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
/// }
/// ```
#[derive(Clone, Copy)]
// One reference, because an end is copied several times.
pub struct Failure<'a>(&'a dyn ErasedError);

/// An error of any type that implements `Display`.
trait ErasedError {
    fn as_any(&self) -> &dyn Any;

    fn as_display(&self) -> &dyn fmt::Display;

    fn path_of_type(&self) -> &'static str;
}

impl<T: fmt::Display + 'static> ErasedError for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_display(&self) -> &dyn fmt::Display {
        self
    }

    fn path_of_type(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}

impl<'a> Failure<'a> {
    /// Creates a failure from an error that implements `Display`.
    #[doc(hidden)]
    pub fn new<T: fmt::Display + 'static>(error: &'a T) -> Self {
        Self(error)
    }

    /// Returns the error's message.
    ///
    /// It may contain secrets and has high cardinality. Do not use it as a metric label.
    pub fn message(&self) -> &'a dyn fmt::Display {
        self.0.as_display()
    }

    /// Returns the path of the error's type without generic arguments, such as `my_crate::MyError`. Returns `None` for a
    /// boxed error, and for a type without a path, such as `String` or `&str`.
    pub fn type_name(&self) -> Option<&'static str> {
        let path = self.0.path_of_type().split('<').next().unwrap_or_default();
        (path.contains("::") && !path.starts_with("alloc::")).then_some(path)
    }

    /// Returns the error as the type `T`, or `None` if it has another type.
    pub fn downcast_ref<T: 'static>(&self) -> Option<&'a T> {
        self.0.as_any().downcast_ref()
    }

    /// Returns the error as a [`std::error::Error`], if its type is known to this crate.
    ///
    /// Known types are `Box<dyn Error>` (also with `Send` and `Sync`), `std::io::Error`, and the errors of axum, hyper,
    /// hyper-util, reqwest, reqwest-middleware and tonic with the [respective features](crate#features).
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
        foreign::as_error(self.0.as_any())
    }

    /// Returns `error.type` for this failure. The number of values is bounded.
    ///
    /// For an error whose type is [known](Self::as_error), returns the class of the error or of one of its sources, such as
    /// `timeout` or `connection_refused`, else `_OTHER`. For another type, returns its [path](Self::type_name), else
    /// `_OTHER`. [`error`](semconv::error) lists the classes.
    pub fn error_type(&self) -> &'static str {
        let Some(error) = self.as_error() else {
            return self.type_name().unwrap_or(semconv::OTHER);
        };
        unless_panicking(|| foreign::classify(error).or_else(|| semconv::error::classify(error)))
            .unwrap_or(semconv::OTHER)
    }

    /// Returns the gRPC status code of the error: that of a `tonic::Status` or of a reset
    /// stream, with the feature `tonic`.
    pub(crate) fn grpc_status(&self) -> Option<u8> {
        let error = self.as_error()?;
        unless_panicking(|| foreign::grpc_status(error))
    }
}

/// Calls methods of an error, such as `source`. Returns `None` if one panics. The panic does not continue.
fn unless_panicking<T>(read: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

/// Omits the trailers, because they may contain secrets.
impl fmt::Debug for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete { .. } => f.debug_struct("Complete").finish_non_exhaustive(),
            Self::Upgraded => f.write_str("Upgraded"),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Aborted => f.write_str("Aborted"),
            Self::Panicked => f.write_str("Panicked"),
        }
    }
}

/// Omits the message, because it may contain secrets.
impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("type_name", &self.0.path_of_type())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    type BoxError = Box<dyn Error + Send + Sync>;

    struct Unknown;

    impl fmt::Display for Unknown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("unknown")
        }
    }

    fn timed_out() -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, "user 42 was too slow")
    }

    #[test]
    fn a_boxed_error_is_classified_by_its_source() {
        let error: BoxError = Box::new(timed_out());
        assert_eq!(Failure::new(&error).error_type(), "timeout");
    }

    #[test]
    fn an_error_without_sources_is_classified_by_its_type() {
        assert_eq!(
            Failure::new(&Unknown).error_type(),
            "tower_otel_core::end::tests::Unknown"
        );
    }

    #[test]
    fn a_boxed_error_without_a_known_source_is_other() {
        let error: BoxError = "user 42 is not allowed".into();
        assert_eq!(Failure::new(&error).error_type(), "_OTHER");
        assert_eq!(
            Failure::new(&String::from("free text")).error_type(),
            "_OTHER"
        );
    }

    #[test]
    fn the_error_type_of_an_end_depends_on_kind_and_status() {
        let failure = timed_out();
        let failed = End::Failed(Failure::new(&failure));
        let erased: BoxError = "user 42 is not allowed".into();
        let other = End::Failed(Failure::new(&erased));
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
            (other, None, Some("_OTHER"), Some("_OTHER")),
            (other, ok, Some("body"), Some("body")),
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

    #[cfg(feature = "tonic")]
    #[test]
    fn the_code_of_a_status_is_found() {
        let failure = tonic::Status::data_loss("a secret");
        assert_eq!(Failure::new(&failure).grpc_status(), Some(15));
        let boxed: BoxError = Box::new(tonic::Status::not_found("a secret"));
        assert_eq!(Failure::new(&boxed).grpc_status(), Some(5));
    }

    #[cfg(feature = "tonic")]
    #[test]
    fn an_expired_timeout_is_a_timeout() {
        let expired: BoxError = Box::new(tonic::TimeoutExpired(()));
        assert_eq!(Failure::new(&expired).error_type(), "timeout");
        assert_eq!(Failure::new(&expired).grpc_status(), None);
    }
}
