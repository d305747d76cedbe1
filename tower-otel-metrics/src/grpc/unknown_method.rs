//! Detects from the response whether the method of a call exists.

use http::{HeaderMap, StatusCode};
use tower_otel_core::ResponseHead;
use tower_otel_semconv::rpc;

use crate::grpc::call_key::{BorrowedCallKey, OwnedCallKey};

/// The status of a call that succeeded.
const OK: u8 = 0;

/// A method of a server that is not yet known.
///
/// Only a gRPC response, with the status `200` and the content type of gRPC, can show that the method exists. Routers,
/// proxies and middleware send other responses for any path.
#[derive(Debug)]
pub(crate) struct UnknownMethod {
    key: OwnedCallKey,
    is_grpc_response: bool,
    head_status: Option<u8>,
}

/// A method that exists according to the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownMethod<'a> {
    pub(crate) key: BorrowedCallKey<'a>,
    pub(crate) proof: Proof,
}

/// The evidence that a method exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A message or the status `OK`.
    Success,
    /// A status that handlers send, but interceptors can also send for any path.
    Failure,
}

impl UnknownMethod {
    pub(crate) const fn new(key: OwnedCallKey) -> Self {
        Self {
            key,
            is_grpc_response: false,
            head_status: None,
        }
    }

    /// Records the head of the response.
    pub(crate) fn response(&mut self, response: &dyn ResponseHead) {
        let headers = response.headers();
        self.is_grpc_response = response.status() == StatusCode::OK && rpc::is_grpc(headers);
        self.head_status = rpc::status(headers);
    }

    /// Returns the method, if the response shows that it exists. `received` is the number of bytes of the body.
    pub(crate) fn shown(
        &self,
        received: u64,
        trailers: Option<&HeaderMap>,
    ) -> Option<ShownMethod<'_>> {
        if !self.is_grpc_response {
            return None;
        }
        let status = trailers.and_then(rpc::status).or(self.head_status);
        let proof = match status {
            _ if received > 0 => Proof::Success,
            Some(OK) => Proof::Success,
            Some(code) if is_of_handler(code) => Proof::Failure,
            _ => return None,
        };
        let key = self.key.borrowed();
        Some(ShownMethod { key, proof })
    }
}

/// Returns whether handlers send this status, but servers and middleware usually do not.
///
/// Servers and middleware may send these for any path: `CANCELLED`, `DEADLINE_EXCEEDED`, `PERMISSION_DENIED`,
/// `RESOURCE_EXHAUSTED`, `UNIMPLEMENTED`, `UNAVAILABLE` and `UNAUTHENTICATED`.
const fn is_of_handler(code: u8) -> bool {
    matches!(code, 2 | 3 | 5 | 6 | 9 | 10 | 11 | 13 | 15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Response;

    use super::*;
    use crate::{grpc::call_key::CallKey, handle_cache::Query as _};

    /// Returns the proof of a response with this number of bytes. Its status is in the head or in the trailers.
    fn shown(
        http: u16,
        content_type: &str,
        head: &str,
        received: u64,
        late: &str,
    ) -> Option<Proof> {
        let response = |status: &str| {
            let response = Response::builder()
                .status(http)
                .header("content-type", content_type);
            let response = match status {
                "" => response,
                _ => response.header("grpc-status", status),
            };
            response.body(()).unwrap()
        };
        let key = CallKey {
            method: Some("a.Service/Method"),
            host: None,
            port: None,
        };
        let mut method = UnknownMethod::new(key.to_key());
        method.response(&response(head));
        let late = response(late);
        method
            .shown(received, Some(late.headers()))
            .map(|shown| shown.proof)
    }

    #[test]
    fn messages_and_the_statuses_of_handlers_show_that_a_method_exists() {
        const GRPC: &str = "application/grpc";
        assert_eq!(shown(200, GRPC, "", 5, ""), Some(Proof::Success));
        assert_eq!(shown(200, GRPC, "", 5, "16"), Some(Proof::Success));
        assert_eq!(shown(200, GRPC, "", 0, ""), None);
        for code in 0..=16 {
            let name = rpc::status_name(code).unwrap();
            let is_of_handlers = "UNKNOWN INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS \
                FAILED_PRECONDITION ABORTED OUT_OF_RANGE INTERNAL DATA_LOSS"
                .split_whitespace()
                .any(|of_handlers| of_handlers == name);
            let expected = match code {
                OK => Some(Proof::Success),
                _ => is_of_handlers.then_some(Proof::Failure),
            };
            let code = code.to_string();
            assert_eq!(shown(200, GRPC, &code, 0, ""), expected, "{name}");
            assert_eq!(shown(200, GRPC, "", 0, &code), expected, "{name}");
        }
    }

    #[test]
    fn http_responses_do_not_show_that_a_method_exists() {
        for (http, content_type) in [
            (200, "application/json"),
            (200, "text/plain"),
            (200, "application/grpc-web"),
            (401, "text/plain"),
            (404, "application/grpc"),
            (500, "application/grpc"),
        ] {
            for (head, received, late) in [("", 2, ""), ("0", 0, ""), ("", 2, "0"), ("2", 0, "2")] {
                let shown = shown(http, content_type, head, received, late);
                assert_eq!(
                    shown, None,
                    "{http} {content_type} {head} {received} {late}"
                );
            }
        }
    }
}
