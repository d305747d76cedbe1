//! The outcome of a gRPC call, derived from its HTTP exchange.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode, Version, header::TE};

use tower_otel_semconv::{self as semconv, Kind, error, rpc};

use crate::{
    end::{End, Failure},
    head::{RequestHead, ResponseHead},
};

/// Status codes of calls that end without a status from the peer.
const CANCELLED: u8 = 1;
const DEADLINE_EXCEEDED: u8 = 4;
const UNAVAILABLE: u8 = 14;

/// A gRPC call in progress.
///
/// The status of a call is usually in the trailers, and may be missing. This type derives it from the response head, the
/// trailers and the end of the exchange.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall {
    kind: Kind,
    started: Instant,
    timeout: Option<Duration>,
    // The status in the response head: the `grpc-status` of a trailers-only response, or a mapped HTTP status.
    head_status: Option<u8>,
}

/// The outcome of a gRPC call.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrpcOutcome {
    /// The gRPC status code, such as 0 for `OK`.
    pub code: u8,
    /// The value of `error.type`, or `None` if the outcome is not an error for this kind of exchange.
    pub error_type: Option<&'static str>,
}

impl GrpcOutcome {
    /// Returns the name of the status, such as `OK`, or [`semconv::OTHER`] for an unknown code.
    pub fn status(&self) -> &'static str {
        rpc::status_name(self.code).unwrap_or(semconv::OTHER)
    }
}

impl GrpcCall {
    /// Starts a call. Returns `None` if the request is not a gRPC call.
    ///
    /// A gRPC call is a `POST` with the `Content-Type` of gRPC. On a server it must also use HTTP/2 or later, or have the
    /// header `te: trailers`: `tonic-web` translates calls of browsers without changing their HTTP version. On a client the
    /// version is ignored, because it is not known before the connection.
    ///
    /// See [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests).
    pub fn start(kind: Kind, request: &dyn RequestHead, at: Instant) -> Option<Self> {
        let headers = request.headers();
        let is_grpc = request.method() == Method::POST
            && rpc::is_grpc(headers)
            && (kind == Kind::Client
                || request.version() >= Version::HTTP_2
                || accepts_trailers(headers));
        is_grpc.then(|| Self {
            kind,
            started: at,
            timeout: timeout(headers),
            head_status: None,
        })
    }

    /// Records the status in the response head.
    pub fn response(&mut self, response: &dyn ResponseHead) {
        self.head_status = rpc::status(response.headers()).or_else(|| {
            let status = response.status();
            (status != StatusCode::OK).then(|| rpc::status_from_http(status))
        });
    }

    /// Returns the outcome of the call.
    ///
    /// | end | status | error |
    /// |---|---|---|
    /// | complete | `grpc-status` of the trailers, else of the head; else the mapped HTTP status, `UNKNOWN` for `200`; on a client `DEADLINE_EXCEEDED` for `CANCELLED` after the call's `grpc-timeout` | depends on the status |
    /// | failed on a client | the status of the error; else `DEADLINE_EXCEEDED`, `UNAVAILABLE` without a connection, or `UNKNOWN` | always: the status of the error or `DEADLINE_EXCEEDED`, else the class of the failure |
    /// | failed on a server | the status of the error, else `UNKNOWN` | as on a client |
    /// | cancelled, aborted | the status of the head; else `DEADLINE_EXCEEDED` if the caller's `grpc-timeout` has expired, else `CANCELLED` | depends on the status |
    /// | panicked | `UNKNOWN` | `panic` |
    pub fn outcome(&self, end: &End<'_>, at: Instant) -> GrpcOutcome {
        match end {
            End::Complete { trailers } => {
                let status = trailers.and_then(rpc::status).or(self.head_status);
                self.status_outcome(status.unwrap_or(rpc::UNKNOWN), at)
            }
            End::Upgraded => self.status_outcome(self.head_status.unwrap_or(rpc::UNKNOWN), at),
            End::Failed(failure) => self.failure_outcome(failure, at),
            End::Panicked => GrpcOutcome {
                code: rpc::UNKNOWN,
                error_type: Some(error::PANIC),
            },
            End::Cancelled | End::Aborted => match self.head_status {
                Some(code) => self.status_outcome(code, at),
                None if self.is_deadline_exceeded(at) => self.status_outcome(DEADLINE_EXCEEDED, at),
                None => self.status_outcome(CANCELLED, at),
            },
        }
    }

    fn status_outcome(&self, code: u8, at: Instant) -> GrpcOutcome {
        let code = self.client_status(code, at);
        GrpcOutcome {
            code,
            error_type: rpc::error_type(self.kind, code),
        }
    }

    fn failure_outcome(&self, failure: &Failure<'_>, at: Instant) -> GrpcOutcome {
        if let Some(code) = failure.grpc_status() {
            let code = self.client_status(code, at);
            return GrpcOutcome {
                code,
                error_type: rpc::status_name(code).or(Some(semconv::OTHER)),
            };
        }
        let error_type = failure.error_type();
        let code = match (self.kind, error_type) {
            (Kind::Server, _) => rpc::UNKNOWN,
            (Kind::Client, error::TIMEOUT) => DEADLINE_EXCEEDED,
            (
                Kind::Client,
                error::CONNECT
                | error::CONNECTION_REFUSED
                | error::CONNECTION_RESET
                | error::CONNECTION_CLOSED,
            ) => UNAVAILABLE,
            (Kind::Client, _) if self.is_deadline_exceeded(at) => DEADLINE_EXCEEDED,
            (Kind::Client, _) => rpc::UNKNOWN,
        };
        GrpcOutcome {
            code,
            // The same `error.type`, whether the transport or the server timed out.
            error_type: match (self.kind, code) {
                (Kind::Client, DEADLINE_EXCEEDED) => rpc::status_name(code),
                _ => Some(error_type),
            },
        }
    }

    /// Returns the status for this kind of exchange.
    ///
    /// A server that enforces the caller's `grpc-timeout` may send `CANCELLED`, as tonic does. After the timeout, a client
    /// records it as `DEADLINE_EXCEEDED`.
    fn client_status(&self, code: u8, at: Instant) -> u8 {
        match (self.kind, code) {
            (Kind::Client, CANCELLED) if self.is_deadline_exceeded(at) => DEADLINE_EXCEEDED,
            _ => code,
        }
    }

    /// Returns `true` if the caller's `grpc-timeout` has expired.
    ///
    /// The caller's timer started earlier, by the transfer time of the request. So the last tenth of the timeout, at most
    /// 100 ms, counts as expired.
    fn is_deadline_exceeded(&self, at: Instant) -> bool {
        self.timeout.is_some_and(|timeout| {
            let tolerance = (timeout / 10).min(Duration::from_millis(100));
            at.saturating_duration_since(self.started) >= timeout.saturating_sub(tolerance)
        })
    }
}

/// Returns whether the request has the header `te: trailers`, which gRPC requires.
#[cold]
fn accepts_trailers(headers: &HeaderMap) -> bool {
    let te = headers.get(TE);
    te.is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"))
}

/// Returns the caller's `grpc-timeout`: at most eight digits and a unit.
///
/// See [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests).
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get("grpc-timeout")?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(value.saturating_mul(3600)),
        b'M' => Duration::from_secs(value.saturating_mul(60)),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderValue, Request, Response};
    use std::{error::Error, io};

    const NONE: End<'static> = End::Complete { trailers: None };

    fn call(kind: Kind, timeout: &str, head: Option<(u16, Option<&str>)>) -> GrpcCall {
        let request = Request::post("/a.B/C")
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("grpc-timeout", timeout);
        let request = request.body(()).unwrap();
        let mut call = GrpcCall::start(kind, &request, Instant::now()).unwrap();
        if let Some((http, status)) = head {
            let mut response = Response::builder().status(http);
            if let Some(status) = status {
                response = response.header("grpc-status", status);
            }
            call.response(&response.body(()).unwrap());
        }
        call
    }

    fn outcome(call: GrpcCall, end: End<'_>, after: u64) -> (&'static str, Option<&'static str>) {
        let outcome = call.outcome(&end, call.started + Duration::from_millis(after));
        (outcome.status(), outcome.error_type)
    }

    #[test]
    fn a_call_over_http_1_has_the_header_te() {
        for (te, is_call) in [("trailers", true), ("Trailers", true), ("deflate", false)] {
            let request = Request::post("/a.B/C")
                .version(Version::HTTP_11)
                .header("content-type", "application/grpc")
                .header("te", te);
            let request = request.body(()).unwrap();
            let call = GrpcCall::start(Kind::Server, &request, Instant::now());
            assert_eq!(call.is_some(), is_call, "{te}");
        }
    }

    #[test]
    fn a_call_is_a_post_with_the_content_type_of_grpc_over_http_2() {
        const BOTH: &[Kind] = &[Kind::Server, Kind::Client];
        for (method, version, content_type, expected) in [
            ("POST", Version::HTTP_2, "application/grpc", BOTH),
            ("POST", Version::HTTP_3, "application/grpc+proto", BOTH),
            (
                "POST",
                Version::HTTP_11,
                "application/grpc",
                &[Kind::Client],
            ),
            ("GET", Version::HTTP_2, "application/grpc", &[]),
            ("PUT", Version::HTTP_2, "application/grpc", &[]),
            ("POST", Version::HTTP_2, "application/json", &[]),
            ("POST", Version::HTTP_2, "application/grpc-web", &[]),
        ] {
            let request = Request::builder()
                .method(method)
                .version(version)
                .header("content-type", content_type);
            let request = request.body(()).unwrap();
            let is_call =
                |kind: &&Kind| GrpcCall::start(**kind, &request, Instant::now()).is_some();
            let calls: Vec<_> = BOTH.iter().filter(is_call).copied().collect();
            assert_eq!(calls, expected, "{method} {version:?} {content_type}");
        }
    }

    #[test]
    fn a_status_in_neither_trailers_nor_head_is_unknown() {
        let call = |head| call(Kind::Client, "", Some(head));
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("5"),
        )]);
        let with_trailers = End::Complete {
            trailers: Some(&trailers),
        };
        let not_found = ("NOT_FOUND", Some("NOT_FOUND"));
        assert_eq!(outcome(call((200, None)), with_trailers, 0), not_found);
        assert_eq!(outcome(call((200, Some("5"))), NONE, 0), not_found);
        assert_eq!(outcome(call((200, Some("0"))), NONE, 0), ("OK", None));
        let unknown = ("UNKNOWN", Some("UNKNOWN"));
        assert_eq!(outcome(call((200, None)), NONE, 0), unknown);
        let empty = HeaderMap::new();
        let without = End::Complete {
            trailers: Some(&empty),
        };
        assert_eq!(outcome(call((200, None)), without, 0), unknown);
        let unavailable = ("UNAVAILABLE", Some("UNAVAILABLE"));
        assert_eq!(outcome(call((503, None)), NONE, 0), unavailable);
        assert_eq!(outcome(call((503, None)), End::Aborted, 0), unavailable);
        assert_eq!(outcome(call((503, Some("5"))), NONE, 0), not_found);
    }

    #[test]
    fn a_cancelled_call_is_an_error_of_its_client_and_after_the_deadline_of_its_server() {
        for (kind, error) in [(Kind::Server, None), (Kind::Client, Some("CANCELLED"))] {
            for end in [End::Cancelled, End::Aborted] {
                let cancelled = ("CANCELLED", error);
                let late = ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"));
                assert_eq!(outcome(call(kind, "", None), end, 5000), cancelled);
                assert_eq!(outcome(call(kind, "1S", None), end, 899), cancelled);
                assert_eq!(outcome(call(kind, "1S", None), end, 900), late);
                assert_eq!(outcome(call(kind, "9S", None), end, 8899), cancelled);
            }
        }
    }

    #[test]
    fn a_server_that_cancels_after_the_deadline_of_its_client_has_exceeded_it() {
        let late = ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"));
        let cancelled = ("CANCELLED", Some("CANCELLED"));
        let call = |kind| call(kind, "1S", Some((200, Some("1"))));
        for end in [NONE, End::Aborted] {
            assert_eq!(outcome(call(Kind::Client), end, 1000), late);
            assert_eq!(outcome(call(Kind::Client), end, 500), cancelled);
            assert_eq!(
                outcome(call(Kind::Server), end, 1000),
                ("CANCELLED", None),
                "the status that was sent"
            );
        }
    }

    #[test]
    fn a_failure_has_a_status_and_an_error_type() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let failed = End::Failed(Failure::new(&refused));
        assert_eq!(
            outcome(call(Kind::Client, "", None), failed, 0),
            ("UNAVAILABLE", Some("connection_refused"))
        );
        assert_eq!(
            outcome(call(Kind::Server, "", None), failed, 0),
            ("UNKNOWN", Some("connection_refused"))
        );
        let unclassified: Box<dyn Error + Send + Sync> = "unclassified".into();
        let failed = End::Failed(Failure::new(&unclassified));
        let client = call(Kind::Client, "100m", None);
        assert_eq!(outcome(client, failed, 0), ("UNKNOWN", Some("_OTHER")));
        assert_eq!(
            outcome(client, failed, 100),
            ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"))
        );
        let timed_out = io::Error::from(io::ErrorKind::TimedOut);
        let failed = End::Failed(Failure::new(&timed_out));
        assert_eq!(
            outcome(client, failed, 0),
            ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"))
        );
        assert_eq!(
            outcome(call(Kind::Server, "", None), End::Panicked, 0),
            ("UNKNOWN", Some("panic"))
        );
    }

    #[test]
    fn a_timeout_is_eight_digits_and_a_unit() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("1M", Some(Duration::from_secs(60))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("+1S", None),
            ("1s", None),
            ("999999999S", None),
        ] {
            let value = HeaderValue::from_static(text);
            let name = http::HeaderName::from_static("grpc-timeout");
            let headers = HeaderMap::from_iter([(name, value)]);
            assert_eq!(timeout(&headers), expected, "{text}");
        }
    }
}
