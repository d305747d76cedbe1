//! A gRPC call: in flight from its start, counted and timed at its end.

use std::time::Instant;

use http::StatusCode;
use tower_otel_core::{End, GrpcCall, Kind, RequestInfo, ResponseHead};
use tower_otel_semconv::rpc;

use crate::{
    backend::instruments::{MetricsBackend, Sample},
    config::Config,
    custom_labels::CustomValues,
    custom_values::CustomValuesRef,
    grpc::{
        call_key::{CallKey, OwnedCallKey},
        instruments::{CallEntry, GrpcInstruments},
    },
    handle_cache::Query as _,
};

/// The longest method in bytes. Others are recorded as `_OTHER`.
const MAX_METHOD_LENGTH: usize = 256;

/// A gRPC call in progress.
#[derive(Debug)]
pub(crate) struct MeasuredCall<B: MetricsBackend> {
    call: GrpcCall,
    entry: CallEntry<B>,
    /// The key of a server's method that has not answered yet. A client can call any method, so until
    /// then the call is counted with those of unknown methods.
    unknown: Option<Box<OwnedCallKey>>,
}

impl<B: MetricsBackend> MeasuredCall<B> {
    /// Starts a call; `None` if the request is not a gRPC call.
    pub(crate) fn start(
        instruments: &GrpcInstruments<B>,
        config: &Config,
        request: &RequestInfo<'_>,
        at: Instant,
    ) -> Option<Self> {
        let kind = config.kind;
        let call = GrpcCall::start(kind, request.head(), at)?;
        let server = config.recorded_server(request);
        let key = CallKey {
            method: rpc::method(request.target(kind).path)
                .filter(|method| method.len() <= MAX_METHOD_LENGTH),
            host: server.as_ref().map(|(host, _)| &**host),
            port: server.as_ref().and_then(|(_, port)| *port),
        };
        let (entry, unknown) = match (instruments.start_known(key), kind) {
            (Some(entry), _) => (entry, None),
            (None, Kind::Client) => (instruments.start(key), None),
            (None, Kind::Server) => {
                let unknown = key.method.map(|_| Box::new(key.to_key()));
                (instruments.start(key.of_unknown_method()), unknown)
            }
        };
        Some(Self {
            call,
            entry,
            unknown,
        })
    }

    /// Records the head of the response.
    pub(crate) fn response(
        &mut self,
        instruments: &GrpcInstruments<B>,
        response: &dyn ResponseHead,
    ) {
        self.call.response(response);
        if let Some(key) = self.unknown.take_if(|_| is_of_handler(response)) {
            instruments.move_to(&mut self.entry, key.borrowed());
        }
    }

    /// Records the call.
    pub(crate) fn end(
        &self,
        instruments: &GrpcInstruments<B>,
        end: &End<'_>,
        at: Instant,
        seconds: f64,
        labels: (CustomValuesRef, impl FnOnce() -> CustomValues),
    ) {
        let sample = Sample {
            seconds,
            aborted: false,
            sent: None,
            received: None,
        };
        let (custom, custom_values) = labels;
        let outcome = self.call.outcome(end, at);
        instruments.end(&self.entry, outcome, custom, custom_values, sample);
    }
}

/// Returns whether a response shows that the server has the method.
///
/// A response that starts with messages does, and so does a status that servers and middleware do not
/// send by themselves. For any path they may answer `CANCELLED`, `DEADLINE_EXCEEDED`,
/// `PERMISSION_DENIED`, `RESOURCE_EXHAUSTED`, `UNIMPLEMENTED`, `UNAVAILABLE` or `UNAUTHENTICATED`.
fn is_of_handler(response: &dyn ResponseHead) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::OK
        && rpc::is_grpc(headers)
        && rpc::status(headers)
            .is_none_or(|code| matches!(code, 0 | 2 | 3 | 5 | 6 | 9 | 10 | 11 | 13 | 15))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Response;

    use super::*;

    fn is_of_handler(status: u16, content_type: &str, grpc_status: Option<&str>) -> bool {
        let mut response = Response::builder()
            .status(status)
            .header("content-type", content_type);
        if let Some(grpc_status) = grpc_status {
            response = response.header("grpc-status", grpc_status);
        }
        super::is_of_handler(&response.body(()).unwrap())
    }

    #[test]
    fn messages_and_the_statuses_of_handlers_show_that_a_method_exists() {
        assert!(is_of_handler(200, "application/grpc", None));
        for code in 0..=16 {
            let name = rpc::status_name(code).unwrap();
            let code = code.to_string();
            let expected = "OK UNKNOWN INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS \
                FAILED_PRECONDITION ABORTED OUT_OF_RANGE INTERNAL DATA_LOSS"
                .split_whitespace()
                .any(|of_handlers| of_handlers == name);
            let found = is_of_handler(200, "application/grpc", Some(&code));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn http_responses_do_not_show_that_a_method_exists() {
        assert!(!is_of_handler(200, "application/json", None));
        assert!(!is_of_handler(404, "application/grpc", None));
        assert!(!is_of_handler(500, "application/grpc", Some("2")));
    }
}
