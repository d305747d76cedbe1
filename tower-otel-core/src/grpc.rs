//! What became of a gRPC call, by what is known of the exchange that carried it.

use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};

use crate::{End, Failure, Kind, RequestHead, ResponseHead};
use tower_otel_semconv::{self as semconv, error, rpc};

/// A gRPC call that has not ended yet.
///
/// The status of a call comes last, in the trailers, and sometimes never. Spans ask
/// here what it was. Metrics do not know gRPC yet and count calls as HTTP.
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall {
    kind: Kind,
    started: Instant,
    timeout: Option<Duration>,
    // Said by the head of the response: by a trailers-only answer, or by one that is not of gRPC.
    answered: Option<u8>,
}

/// What became of a gRPC call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrpcOutcome {
    /// The code of the status.
    pub code: u8,
    /// The value of `error.type`, if the outcome is an error for this kind of exchange.
    pub error_type: Option<&'static str>,
}

impl GrpcOutcome {
    /// The status by its name.
    pub fn status(&self) -> &'static str {
        rpc::status_name(self.code).unwrap_or(semconv::OTHER)
    }
}

impl GrpcCall {
    /// Begins a call, if the request is one by its `Content-Type`.
    pub fn start(kind: Kind, request: &dyn RequestHead, at: Instant) -> Option<Self> {
        let headers = request.headers();
        rpc::is_grpc(headers).then(|| Self {
            kind,
            started: at,
            timeout: timeout(headers),
            answered: None,
        })
    }

    /// The head of the response is there.
    pub fn response(&mut self, response: &dyn ResponseHead) {
        self.answered = rpc::status(response.headers()).or_else(|| {
            let status = response.status();
            (status != StatusCode::OK).then(|| rpc::status_from_http(status))
        });
    }

    /// What became of the call.
    ///
    /// | end | status | error |
    /// |---|---|---|
    /// | complete | `grpc-status`, in the trailers or the head; else what the HTTP status stands for, and with `200` `UNKNOWN` | by the status |
    /// | failed on a client | what the error carries; else `DEADLINE_EXCEEDED`, `UNAVAILABLE` without a connection, `UNKNOWN` | always: the status the error carries, else the kind of failure |
    /// | failed on a server | what the error carries, else `UNKNOWN` | the same |
    /// | cancelled, aborted | what the head has said; else `DEADLINE_EXCEEDED` when the caller's `grpc-timeout` is over, `CANCELLED` before | by the status; but a client that gives up decided so |
    /// | panicked | `UNKNOWN` | `panic` |
    pub fn end(&self, end: &End<'_>, at: Instant) -> GrpcOutcome {
        match end {
            End::Complete { trailers } => {
                let status = trailers.and_then(rpc::status).or(self.answered);
                self.by_status(status.unwrap_or(rpc::UNKNOWN))
            }
            End::Upgraded => self.by_status(self.answered.unwrap_or(rpc::UNKNOWN)),
            End::Failed(failure) => self.failed(failure, at),
            End::Panicked => GrpcOutcome {
                code: rpc::UNKNOWN,
                error_type: Some(error::PANIC),
            },
            End::Cancelled | End::Aborted => match self.answered {
                Some(code) => self.by_status(code),
                None if self.is_overdue(at) => self.by_status(rpc::DEADLINE_EXCEEDED),
                // For a server the conventions do not count it among the errors either.
                None => GrpcOutcome {
                    code: rpc::CANCELLED,
                    error_type: None,
                },
            },
        }
    }

    fn by_status(&self, code: u8) -> GrpcOutcome {
        GrpcOutcome {
            code,
            error_type: rpc::error_type(self.kind, code),
        }
    }

    fn failed(&self, failure: &Failure<'_>, at: Instant) -> GrpcOutcome {
        if let Some(code) = failure.grpc_status() {
            return GrpcOutcome {
                code,
                error_type: rpc::status_name(code).or(Some(semconv::OTHER)),
            };
        }
        let error_type = failure.error_type();
        let code = match (self.kind, error_type) {
            (Kind::Server, _) => rpc::UNKNOWN,
            (Kind::Client, error::TIMEOUT) => rpc::DEADLINE_EXCEEDED,
            (
                Kind::Client,
                error::CONNECT
                | error::CONNECTION_REFUSED
                | error::CONNECTION_RESET
                | error::CONNECTION_CLOSED,
            ) => rpc::UNAVAILABLE,
            (Kind::Client, _) if self.is_overdue(at) => rpc::DEADLINE_EXCEEDED,
            (Kind::Client, _) => rpc::UNKNOWN,
        };
        GrpcOutcome {
            code,
            error_type: Some(error_type),
        }
    }

    /// Whether the caller's time is over. Its clock was started a little before a server's, by as
    /// long as the request was under way, so the last tenth of it, 100 ms at most, counts as over.
    fn is_overdue(&self, at: Instant) -> bool {
        self.timeout.is_some_and(|timeout| {
            let slack = (timeout / 10).min(Duration::from_millis(100));
            at.saturating_duration_since(self.started) >= timeout.saturating_sub(slack)
        })
    }
}

/// The caller's `grpc-timeout`: at most eight digits and a unit.
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

    fn told(call: GrpcCall, end: End<'_>, after: u64) -> (&'static str, Option<&'static str>) {
        let outcome = call.end(&end, call.started + Duration::from_millis(after));
        (outcome.status(), outcome.error_type)
    }

    #[test]
    fn what_is_not_grpc_is_no_call() {
        for content_type in ["application/json", "application/grpc-web"] {
            let request = Request::post("/a.B/C").header("content-type", content_type);
            let request = request.body(()).unwrap();
            assert!(GrpcCall::start(Kind::Server, &request, Instant::now()).is_none());
        }
    }

    #[test]
    fn the_status_is_in_the_trailers_or_the_head_and_missing_it_is_unknown() {
        let call = |head| call(Kind::Client, "", Some(head));
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("5"),
        )]);
        let with_trailers = End::Complete {
            trailers: Some(&trailers),
        };
        let not_found = ("NOT_FOUND", Some("NOT_FOUND"));
        assert_eq!(told(call((200, None)), with_trailers, 0), not_found);
        assert_eq!(told(call((200, Some("5"))), NONE, 0), not_found);
        assert_eq!(told(call((200, Some("0"))), NONE, 0), ("OK", None));
        let unknown = ("UNKNOWN", Some("UNKNOWN"));
        assert_eq!(told(call((200, None)), NONE, 0), unknown);
        let empty = HeaderMap::new();
        let without = End::Complete {
            trailers: Some(&empty),
        };
        assert_eq!(told(call((200, None)), without, 0), unknown);
        let unavailable = ("UNAVAILABLE", Some("UNAVAILABLE"));
        assert_eq!(told(call((503, None)), NONE, 0), unavailable);
        assert_eq!(told(call((503, None)), End::Aborted, 0), unavailable);
        assert_eq!(told(call((503, Some("5"))), NONE, 0), not_found);
    }

    #[test]
    fn giving_up_is_no_error_before_the_deadline() {
        for kind in [Kind::Server, Kind::Client] {
            for end in [End::Cancelled, End::Aborted] {
                let cancelled = ("CANCELLED", None);
                let late = ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"));
                assert_eq!(told(call(kind, "", None), end, 5000), cancelled);
                assert_eq!(told(call(kind, "1S", None), end, 899), cancelled);
                assert_eq!(told(call(kind, "1S", None), end, 900), late);
                assert_eq!(told(call(kind, "9S", None), end, 8899), cancelled);
            }
        }
    }

    #[test]
    fn a_failure_is_named_and_has_a_status() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let failed = End::Failed(Failure::new(&refused));
        assert_eq!(
            told(call(Kind::Client, "", None), failed, 0),
            ("UNAVAILABLE", Some("connection_refused"))
        );
        assert_eq!(
            told(call(Kind::Server, "", None), failed, 0),
            ("UNKNOWN", Some("connection_refused"))
        );
        let odd: Box<dyn Error + Send + Sync> = "odd".into();
        let failed = End::Failed(Failure::new(&odd));
        let client = call(Kind::Client, "100m", None);
        assert_eq!(told(client, failed, 0), ("UNKNOWN", Some("_OTHER")));
        assert_eq!(
            told(client, failed, 100),
            ("DEADLINE_EXCEEDED", Some("_OTHER"))
        );
        assert_eq!(
            told(call(Kind::Server, "", None), End::Panicked, 0),
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
