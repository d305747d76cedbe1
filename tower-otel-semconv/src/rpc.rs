//! gRPC calls: method names, statuses and errors.
//!
//! See [gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/) and
//! [RPC spans](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/). Version 1.45.0 renamed the status
//! attribute, from [`RPC_RESPONSE_STATUS_CODE`](crate::attribute::RPC_RESPONSE_STATUS_CODE) to
//! [`RPC_STATUS_CODE`](crate::attribute::RPC_STATUS_CODE).

use http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE};

use crate::conventions::OTHER;
use crate::kind::Kind;

/// The value of `rpc.system.name`.
pub const SYSTEM: &str = "grpc";

/// The header of a call's status. It is in the trailers, or in the response head if there is no body.
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The status of the call is unknown.
#[doc(hidden)]
pub const UNKNOWN: u8 = 2;
/// The server does not implement the method.
#[doc(hidden)]
pub const UNIMPLEMENTED: u8 = 12;
/// The server could not be reached.
const UNAVAILABLE: u8 = 14;

/// Returns `true` if the `Content-Type` of a message is `application/grpc`, optionally followed by a codec.
///
/// gRPC-Web is not included, because its status is part of the body.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split_at_checked(b"application/grpc".len()))
        .is_some_and(|(media_type, remaining)| {
            media_type.eq_ignore_ascii_case(b"application/grpc")
                && matches!(remaining.first(), None | Some(b'+' | b';' | b' '))
        })
}

/// Returns `rpc.method` of a request path: `/pkg.Service/Method` without the first slash.
///
/// Returns `None` unless the path has exactly two segments. The method may not exist: if the status is `UNIMPLEMENTED`,
/// the layers of a server record `_OTHER` instead.
///
/// ```
/// use tower_otel_semconv::rpc;
///
/// assert_eq!(rpc::method("/pkg.Service/Method"), Some("pkg.Service/Method"));
/// assert_eq!(rpc::method("/healthz"), None);
/// ```
#[must_use]
pub fn method(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let (service, method) = name.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some(name)
}

/// Returns the name of an RPC span: the method, or `grpc` if it is unknown (`None` or `_OTHER`).
#[must_use]
pub fn span_name(method: Option<&str>) -> &str {
    method
        .filter(|m| !m.is_empty() && *m != OTHER)
        .unwrap_or(SYSTEM)
}

/// Returns the code of the `grpc-status` header in a response head or trailers. Returns `None` without that header.
///
/// Returns `UNKNOWN` (2) for an invalid value, as gRPC requires.
#[must_use]
pub fn status(headers: &HeaderMap) -> Option<u8> {
    headers
        .get(&GRPC_STATUS)
        .map(|value| parse_grpc_status(value.as_bytes()))
}

/// Parses a `grpc-status` value.
fn parse_grpc_status(value: &[u8]) -> u8 {
    match *value {
        [digit @ b'0'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'6'] => 10 + digit - b'0',
        _ => UNKNOWN,
    }
}

/// Returns the code of a response without `grpc-status`, derived from its HTTP status.
///
/// `200` maps to `UNKNOWN` (2), because a successful call sends `grpc-status`.
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

/// Returns the name of a code, which is the value of the status attribute and of `error.type`. Returns `None` above 16.
///
/// See [status codes](https://grpc.io/docs/guides/status-codes/).
///
/// ```
/// use tower_otel_semconv::rpc;
///
/// assert_eq!(rpc::status_name(5), Some("NOT_FOUND"));
/// ```
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

/// Returns `true` if a code makes the call an error.
fn is_error(kind: Kind, code: u8) -> bool {
    match kind {
        Kind::Client => code != 0,
        Kind::Server => matches!(code, 2 | 4 | 12..=15 | 17..),
    }
}

/// Returns `error.type` for a code: its name, or [`OTHER`] above 16. Returns `None` if the code is not an
/// error.
///
/// On a client every code except `OK` is an error. On a server these codes are errors: `UNKNOWN`, `DEADLINE_EXCEEDED`,
/// `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`, and codes above 16.
#[must_use]
pub fn error_type(kind: Kind, code: u8) -> Option<&'static str> {
    is_error(kind, code).then(|| status_name(code).unwrap_or(OTHER))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_one_service_and_one_method() {
        for case in [
            "/pkg.Service/Method => pkg.Service/Method",
            "/Service/M => Service/M",
            "pkg.Service/Method => -",
            "/pkg.Service/Method/ => -",
            "/a/b/c => -",
            "//Method => -",
            "/Service/ => -",
            "/ => -",
            " => -",
            "* => -",
        ] {
            let (path, expected) = case.split_once(" => ").unwrap();
            assert_eq!(method(path).unwrap_or("-"), expected, "{path:?}");
        }
    }

    #[test]
    fn the_seventeen_codes_have_names() {
        for code in 0..=16 {
            assert_eq!(parse_grpc_status(code.to_string().as_bytes()), code);
            assert!(status_name(code).is_some());
        }
        assert_eq!(status_name(17), None);
    }

    #[test]
    fn an_invalid_status_is_unknown() {
        for value in "|17|-1|+1|00|01| 0|0 |1.0|OK|999999999999".split('|') {
            assert_eq!(parse_grpc_status(value.as_bytes()), UNKNOWN, "{value:?}");
        }
    }

    #[test]
    fn a_missing_status_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("5"));
        assert_eq!(status(&headers), Some(5));
    }

    #[test]
    fn an_http_status_maps_to_a_code() {
        for case in [
            "200 => UNKNOWN",
            "302 => UNKNOWN",
            "400 => INTERNAL",
            "401 => UNAUTHENTICATED",
            "403 => PERMISSION_DENIED",
            "404 => UNIMPLEMENTED",
            "429 => UNAVAILABLE",
            "431 => INTERNAL",
            "500 => UNKNOWN",
            "502 => UNAVAILABLE",
            "503 => UNAVAILABLE",
            "504 => UNAVAILABLE",
        ] {
            let (http, expected) = case.split_once(" => ").unwrap();
            let code = status_from_http(http.parse().unwrap());
            assert_eq!(status_name(code), Some(expected), "{http}");
        }
    }

    #[test]
    fn a_code_caused_by_the_client_is_not_an_error_for_the_server() {
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
    fn grpc_is_recognised_by_its_content_type() {
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
    fn a_span_without_a_method_is_named_grpc() {
        assert_eq!(span_name(Some("a.B/C")), "a.B/C");
        assert_eq!(span_name(Some("_OTHER")), "grpc");
        assert_eq!(span_name(None), "grpc");
    }

    proptest! {
        #[test]
        fn any_bytes_yield_a_known_status(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            prop_assert!(status_name(parse_grpc_status(&bytes)).is_some());
        }

        #[test]
        fn a_method_has_exactly_one_slash(path in ".*") {
            if let Some(name) = method(&path) {
                prop_assert_eq!(name.matches('/').count(), 1);
            }
        }
    }
}
