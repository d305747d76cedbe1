//! gRPC over HTTP: the method's name, the status by name, and which of them are errors.
//!
//! See [gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/) and
//! [RPC spans](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/). The status attribute is being renamed:
//! [`RPC_RESPONSE_STATUS_CODE`] up to conventions 1.44.0, [`RPC_STATUS_CODE`] after.

use http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE};

pub use super::attribute::{RPC_RESPONSE_STATUS_CODE, RPC_STATUS_CODE};
use crate::Kind;

/// The value of `rpc.system.name`.
pub const SYSTEM: &str = "grpc";

/// Where a call's status is sent: in the trailers, or in the head when there is no body.
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The caller gave the call up.
pub const CANCELLED: u8 = 1;
/// Nobody has said what became of the call.
pub const UNKNOWN: u8 = 2;
/// Time ran out.
pub const DEADLINE_EXCEEDED: u8 = 4;
/// The server does not have this method.
pub const UNIMPLEMENTED: u8 = 12;
/// The server could not be reached.
pub const UNAVAILABLE: u8 = 14;

/// The attribute that holds the status of a call. The conventions are renaming it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusAttribute {
    /// `rpc.response.status_code`, as in conventions up to 1.44.0, the latest that are released.
    #[default]
    RpcResponseStatusCode,
    /// `rpc.status_code`, as in conventions after 1.44.0.
    RpcStatusCode,
}

impl StatusAttribute {
    /// The name of the attribute.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::RpcResponseStatusCode => RPC_RESPONSE_STATUS_CODE,
            Self::RpcStatusCode => RPC_STATUS_CODE,
        }
    }
}

/// Whether a message speaks gRPC, by its `Content-Type`: `application/grpc`, with or without a codec after it.
///
/// gRPC-Web is not meant: its status travels inside the body.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split_at_checked(b"application/grpc".len()))
        .is_some_and(|(media_type, rest)| {
            media_type.eq_ignore_ascii_case(b"application/grpc")
                && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        })
}

/// The value of `rpc.method` in a request's path: `/pkg.Service/Method` without its first slash.
///
/// `None` unless the path has exactly two parts. A client can still call what does not exist: once the answer is
/// `UNIMPLEMENTED`, a server records `_OTHER` on its metrics.
///
/// ```
/// use tower_otel_semconv::rpc;
///
/// assert_eq!(rpc::split_path("/pkg.Service/Method"), Some("pkg.Service/Method"));
/// assert_eq!(rpc::split_path("/healthz"), None);
/// ```
#[must_use]
pub fn split_path(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let (service, method) = name.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some(name)
}

/// The name of an RPC span: the method where it is known, else `grpc`.
#[must_use]
pub fn span_name(method: Option<&str>) -> &str {
    method
        .filter(|m| !m.is_empty() && *m != super::OTHER)
        .unwrap_or(SYSTEM)
}

/// The code in a head's or trailers' `grpc-status`; `None` where there is none.
#[must_use]
pub fn status(headers: &HeaderMap) -> Option<u8> {
    headers
        .get(&GRPC_STATUS)
        .map(|value| parse_status(value.as_bytes()))
}

/// The code a `grpc-status` value stands for. What is not one of the seventeen is `UNKNOWN`, as gRPC wants it.
///
/// ```
/// use tower_otel_semconv::rpc;
///
/// assert_eq!(rpc::status_name(rpc::parse_status(b"14")), Some("UNAVAILABLE"));
/// assert_eq!(rpc::status_name(rpc::parse_status(b"teapot")), Some("UNKNOWN"));
/// ```
#[must_use]
pub fn parse_status(value: &[u8]) -> u8 {
    match *value {
        [digit @ b'0'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'6'] => 10 + digit - b'0',
        _ => UNKNOWN,
    }
}

/// The code a response without `grpc-status` stands for, by its HTTP status. `200` is `UNKNOWN` too: a call that went
/// well says so.
///
/// See [the mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
#[must_use]
pub fn status_from_http(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The name of a code, as the status attribute and `error.type` carry it; `None` beyond 16.
///
/// See [status codes](https://grpc.io/docs/guides/status-codes/).
#[must_use]
pub fn status_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => return None,
    })
}

/// Whether a code ends the call with an error.
///
/// To a client all but `OK` is one. To a server only what is its own fault: `UNKNOWN`, `DEADLINE_EXCEEDED`,
/// `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`, and a code that does not exist.
#[must_use]
pub fn is_error(kind: Kind, code: u8) -> bool {
    match kind {
        Kind::Client => code != 0,
        Kind::Server => matches!(code, 2 | 4 | 12..=15 | 17..),
    }
}

/// The value of `error.type` a code calls for; `None` where it is no error.
#[must_use]
pub fn error_type(kind: Kind, code: u8) -> Option<&'static str> {
    is_error(kind, code).then(|| status_name(code).unwrap_or(super::OTHER))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn a_path_names_one_service_and_one_method() {
        for (path, name) in [
            ("/pkg.Service/Method", Some("pkg.Service/Method")),
            ("/Service/M", Some("Service/M")),
            ("pkg.Service/Method", None),
            ("/pkg.Service/Method/", None),
            ("/a/b/c", None),
            ("//Method", None),
            ("/Service/", None),
            ("/", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(split_path(path), name, "{path}");
        }
    }

    #[test]
    fn seventeen_codes_have_names_and_survive_the_header() {
        for code in 0..=16 {
            assert_eq!(parse_status(code.to_string().as_bytes()), code);
            assert!(status_name(code).is_some());
        }
        assert_eq!(status_name(17), None);
    }

    #[test]
    fn a_status_that_cannot_be_read_is_unknown() {
        for value in [
            "",
            "17",
            "-1",
            "+1",
            "00",
            "01",
            " 0",
            "0 ",
            "1.0",
            "OK",
            "999999999999",
        ] {
            assert_eq!(parse_status(value.as_bytes()), UNKNOWN, "{value:?}");
        }
    }

    #[test]
    fn an_absent_status_is_not_an_unknown_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("5"));
        assert_eq!(status(&headers), Some(5));
    }

    #[test]
    fn a_response_that_is_not_of_grpc_stands_for_a_status() {
        for (http, name) in [
            (200, "UNKNOWN"),
            (302, "UNKNOWN"),
            (400, "INTERNAL"),
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "UNIMPLEMENTED"),
            (429, "UNAVAILABLE"),
            (431, "INTERNAL"),
            (500, "UNKNOWN"),
            (502, "UNAVAILABLE"),
            (503, "UNAVAILABLE"),
            (504, "UNAVAILABLE"),
        ] {
            let code = status_from_http(StatusCode::from_u16(http).unwrap());
            assert_eq!(status_name(code), Some(name), "{http}");
        }
    }

    #[test]
    fn a_server_answers_only_for_its_own_errors() {
        let errors: Vec<_> = (0..=16)
            .filter(|&c| is_error(Kind::Server, c))
            .filter_map(status_name)
            .collect();
        assert_eq!(
            errors,
            [
                "UNKNOWN",
                "DEADLINE_EXCEEDED",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
        assert!((1..=16).all(|c| is_error(Kind::Client, c)) && !is_error(Kind::Client, 0));
        assert_eq!(error_type(Kind::Server, 5), None);
        assert_eq!(error_type(Kind::Client, 5), Some("NOT_FOUND"));
        assert_eq!(error_type(Kind::Server, 200), Some("_OTHER"));
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("Application/gRPC", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(is_grpc(&headers), grpc, "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_span_without_a_method_is_called_after_the_system() {
        assert_eq!(span_name(Some("a.B/C")), "a.B/C");
        assert_eq!(span_name(Some("_OTHER")), "grpc");
        assert_eq!(span_name(None), "grpc");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_status(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            prop_assert!(status_name(parse_status(&bytes)).is_some());
        }

        #[test]
        fn any_path_can_be_split(path in ".*") {
            if let Some(name) = split_path(&path) {
                prop_assert_eq!(name.matches('/').count(), 1);
            }
        }
    }
}
