//! A gRPC call. The in-flight gauge counts it from its start. It is counted and timed at its end.

use std::time::Instant;

use tower_otel_core::{End, GrpcCall, Kind, RequestInfo, ResponseHead};
use tower_otel_semconv::rpc;

use crate::{
    backend::instruments::{MetricsBackend, Sample},
    config::Config,
    custom_labels::CustomValues,
    custom_values::CustomValuesRef,
    grpc::{
        call_key::CallKey,
        instruments::{CallEntry, GrpcInstruments},
        unknown_method::UnknownMethod,
    },
    handle_cache::Query as _,
    open_stream::OpenStream,
};

/// The maximum length of a method in bytes. Longer methods are recorded as `_OTHER`.
const MAX_METHOD_LENGTH: usize = 256;

/// A gRPC call in progress.
#[derive(Debug)]
pub(crate) struct MeasuredCall<B: MetricsBackend> {
    call: GrpcCall,
    entry: CallEntry<B>,
    /// The method of a server's call, if it was not known at the start. A client can call any method, so the call is recorded
    /// as `_OTHER`, unless the response shows that the method exists.
    unknown: Option<Box<UnknownMethod>>,
}

impl<B: MetricsBackend> MeasuredCall<B> {
    /// Starts a call. Returns `None` if the request is not a gRPC call.
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
                let unknown = key.method.map(|_| UnknownMethod::new(key.to_key()).into());
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
    pub(crate) fn response(&mut self, response: &dyn ResponseHead) {
        self.call.response(response);
        if let Some(method) = &mut self.unknown {
            method.response(response);
        }
    }

    /// Counts the call as an open long-lived stream.
    pub(crate) fn open_stream(&self, instruments: &GrpcInstruments<B>) -> OpenStream<B::InFlight> {
        instruments.open_stream(&self.entry)
    }

    /// Records the end of the call.
    pub(crate) fn end(
        &self,
        instruments: &GrpcInstruments<B>,
        end: &End<'_>,
        at: Instant,
        (seconds, received): (f64, u64),
        labels: (CustomValuesRef, impl FnOnce() -> CustomValues),
    ) {
        let trailers = match end {
            End::Complete { trailers } => *trailers,
            _ => None,
        };
        let unknown = self.unknown.as_ref();
        let shown = unknown.and_then(|method| method.shown(received, trailers));
        let sample = Sample {
            seconds,
            aborted: false,
            sent: None,
            received: None,
        };
        let outcome = self.call.outcome(end, at);
        instruments.end(&self.entry, shown, outcome, labels, sample);
    }
}
