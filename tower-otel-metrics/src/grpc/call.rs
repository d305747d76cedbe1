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
    open_stream::OpenStream,
};

/// The longest method in bytes. Others are recorded as `_OTHER`.
const MAX_METHOD_LENGTH: usize = 256;

/// The status of a call that succeeded.
const OK: u8 = 0;

/// A gRPC call in progress.
#[derive(Debug)]
pub(crate) struct MeasuredCall<B: MetricsBackend> {
    call: GrpcCall,
    entry: CallEntry<B>,
    /// The key of a server's method that is not known yet. A client can call any method, so until an
    /// answer shows that it exists, the call is counted with those of unknown methods.
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

    /// Returns whether the first message of the response is awaited: it shows that the method exists.
    pub(crate) const fn awaits_message(&self) -> bool {
        self.unknown.is_some()
    }

    /// Records the head of the response.
    pub(crate) fn response(
        &mut self,
        instruments: &GrpcInstruments<B>,
        response: &dyn ResponseHead,
    ) {
        self.call.response(response);
        let headers = response.headers();
        if response.status() == StatusCode::OK
            && rpc::is_grpc(headers)
            && let Some(code) = rpc::status(headers)
        {
            self.answered_with(instruments, code);
        }
    }

    /// Counts the call as a stream that is meant to last.
    pub(crate) fn open_stream(&self, instruments: &GrpcInstruments<B>) -> OpenStream<B::InFlight> {
        instruments.open_stream(&self.entry)
    }

    /// Records the first message of the response.
    pub(crate) fn message(&mut self, instruments: &GrpcInstruments<B>) {
        if let Some(key) = self.unknown.take() {
            instruments.move_to(&mut self.entry, key.borrowed());
        }
    }

    /// Makes the method known, if a status shows that it exists.
    fn answered_with(&mut self, instruments: &GrpcInstruments<B>, code: u8) {
        let is_shown =
            |_: &mut _| code == OK || is_of_handler(code) && instruments.takes_unproven_method();
        if let Some(key) = self.unknown.take_if(is_shown) {
            instruments.move_to(&mut self.entry, key.borrowed());
        }
    }

    /// Records the call.
    pub(crate) fn end(
        &mut self,
        instruments: &GrpcInstruments<B>,
        end: &End<'_>,
        at: Instant,
        seconds: f64,
        labels: (CustomValuesRef, impl FnOnce() -> CustomValues),
    ) {
        if let End::Complete {
            trailers: Some(trailers),
        } = end
            && let Some(code) = rpc::status(trailers)
        {
            self.answered_with(instruments, code);
        }
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

/// Returns whether handlers send this status, and servers and middleware usually do not.
///
/// For any path they may answer `CANCELLED`, `DEADLINE_EXCEEDED`, `PERMISSION_DENIED`, `RESOURCE_EXHAUSTED`,
/// `UNIMPLEMENTED`, `UNAVAILABLE` or `UNAUTHENTICATED`.
const fn is_of_handler(code: u8) -> bool {
    matches!(code, 2 | 3 | 5 | 6 | 9 | 10 | 11 | 13 | 15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_of_handlers_show_that_a_method_may_exist() {
        for code in 1..=16 {
            let name = rpc::status_name(code).unwrap();
            let expected = "UNKNOWN INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS \
                FAILED_PRECONDITION ABORTED OUT_OF_RANGE INTERNAL DATA_LOSS"
                .split_whitespace()
                .any(|of_handlers| of_handlers == name);
            assert_eq!(is_of_handler(code), expected, "{name}");
        }
    }
}
