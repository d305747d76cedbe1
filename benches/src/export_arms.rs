//! Ways to export spans over OTLP/gRPC, without the other parts of `tower-otel-init`.

use std::{cell::OnceCell, time::Duration};

use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tower_otel_recorder::OtlpExporter;
use tower_otel_trace::Recorder;

use crate::{
    app,
    arms::instrument,
    encoded_request::EncodedRequest,
    exchange::InProcess,
    exporting::exporter,
    signals::{DiscardingSignals, Signals},
};

/// An arm that sends a request that was encoded beforehand, and records nothing.
pub const ENCODED: &str = "the same bytes, encoded beforehand (yardstick)";

/// The number of spans of a turn. It is less than a batch, so that only a flush exports them, in one request.
pub const SPANS: usize = 480;

/// The export interval, longer than a measurement.
const NEVER: Duration = Duration::from_secs(3600);

/// The signals of one arm, with default queues and batches.
#[derive(Debug)]
pub struct ExportArm {
    name: String,
    endpoint: String,
    traces: OnceCell<SdkTracerProvider>,
    recorder: OnceCell<Recorder>,
    encoded: OnceCell<EncodedRequest>,
}

impl ExportArm {
    /// Creates an arm. The collector counts its spans by its name.
    pub fn new(name: &str, endpoint: String) -> Self {
        Self {
            name: name.to_owned(),
            endpoint,
            traces: OnceCell::new(),
            recorder: OnceCell::new(),
            encoded: OnceCell::new(),
        }
    }

    /// Returns the instrumentation of the application.
    pub fn instrumentation(&self) -> &'static str {
        if self.name == ENCODED {
            "bare"
        } else if self.name.starts_with("recorder") {
            "record"
        } else {
            "direct"
        }
    }

    fn resource(&self) -> Resource {
        let resource = Resource::builder().with_service_name(self.name.clone());
        resource.build()
    }

    /// Exports the spans of a turn.
    pub fn flush(&self) {
        if let Some(traces) = self.traces.get() {
            traces.force_flush().unwrap();
        }
        if let Some(recorder) = self.recorder.get() {
            recorder.flush(Duration::from_secs(10)).unwrap();
        }
        if let Some(encoded) = self.encoded.get() {
            encoded.send();
        }
    }

    /// Runs the work that is not part of a turn.
    pub fn prepare(&self) {
        if self.name == ENCODED {
            self.encoded
                .get_or_init(|| EncodedRequest::new(&self.endpoint, &self.resource(), record_turn));
        }
    }
}

/// Records and flushes the spans of a turn.
fn record_turn(recorder: Recorder) {
    let visitor = InProcess {
        routes: 1,
        flush: || {},
    };
    let signals = DiscardingSignals::with_recorder(recorder);
    instrument("record", app::with_routes(1), &signals, visitor).prepare(0, SPANS)();
    signals.flush()();
}

impl Signals for ExportArm {
    fn traces(&self) -> SdkTracerProvider {
        let traces = self.traces.get_or_init(|| {
            let config = BatchConfigBuilder::default().with_scheduled_delay(NEVER);
            let batches = BatchSpanProcessor::new(exporter(&self.endpoint), config.build());
            SdkTracerProvider::builder()
                .with_resource(self.resource())
                .with_span_processor(batches)
                .build()
        });
        traces.clone()
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.get_or_init(|| {
            let builder = match &*self.name {
                "recorder, opentelemetry-otlp" => Recorder::builder(exporter(&self.endpoint)),
                _ => Recorder::builder(OtlpExporter::grpc(&self.endpoint)),
            };
            let builder = builder.resource(self.resource()).delay(NEVER);
            builder.build().unwrap()
        })
    }

    fn subscriber(&self) {
        unimplemented!("no arm has a subscriber")
    }

    fn prometheus(&self) {
        unimplemented!("no arm records metrics")
    }

    fn meters(&self) -> SdkMeterProvider {
        unimplemented!("no arm records metrics")
    }
}
