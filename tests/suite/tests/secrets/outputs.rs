//! What leaves a process: exported spans and metrics, log lines, `/metrics` and forwarded headers.

use std::{
    borrow::Cow,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderMap;
use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::{
    tonic::collector::{
        metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider},
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use prost::Message;
use suite_tests::{
    backend::{Backend, Source, records_tracing},
    telemetry::SCOPE,
};
use tower_otel_core::{Observe, RequestHead};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::Recorder;
use tracing_subscriber::{
    Layer as _,
    filter::{DynFilterFn, LevelFilter},
    fmt::format::FmtSpan,
    layer::{Filter, SubscriberExt},
};

/// All outputs as bytes.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) spans: Vec<u8>,
    pub(crate) meter: Vec<u8>,
    pub(crate) scrape: Vec<u8>,
    pub(crate) log: Vec<u8>,
    /// The headers that the layers add to a request to an internal host.
    pub(crate) internal: Vec<u8>,
    /// The headers that the layers add to a request to an external host.
    pub(crate) external: Vec<u8>,
}

impl Outputs {
    pub(crate) fn channels(&self) -> [(&'static str, &[u8]); 6] {
        [
            ("spans", &self.spans),
            ("meter", &self.meter),
            ("scrape", &self.scrape),
            ("log", &self.log),
            ("headers to the internal host", &self.internal),
            ("headers to the external host", &self.external),
        ]
    }
}

/// Returns the surroundings of `text` in `bytes`.
pub(crate) fn find(bytes: &[u8], text: &str) -> Option<String> {
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())?;
    let around = bytes.iter().skip(at.saturating_sub(80)).take(160);
    let around: Vec<u8> = around.copied().collect();
    Some(around.escape_ascii().to_string())
}

#[derive(Clone, Default)]
struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the headers that the layers added to a request.
pub(crate) fn added(sent: &HeaderMap, original: &HeaderMap) -> Vec<u8> {
    let mut added = Vec::new();
    for (name, value) in sent {
        if original.get_all(name).iter().any(|before| before == value) {
            continue;
        }
        added.extend_from_slice(format!("{name}: ").as_bytes());
        added.extend_from_slice(value.as_bytes());
        added.push(b'\n');
    }
    added
}

/// A filter that hides spans that the recorder records.
fn filter<S>() -> impl Filter<S> {
    DynFilterFn::new(|metadata, _| !records_tracing() && *metadata.level() <= LevelFilter::INFO)
}

/// The exporters, the log and the metrics of the current thread.
pub(crate) struct Recording {
    exporter: InMemorySpanExporter,
    pub(crate) source: Source,
    lines: LogWriter,
    pub(crate) scrape: Prometheus,
    pub(crate) meter: SdkMeterProvider,
    exported: InMemoryMetricExporter,
    _facade: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Recording {
    pub(crate) fn new(backend: Backend) -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let recorder = Recorder::builder(exporter.clone()).build().unwrap();
        let lines = LogWriter::default();
        let writer = lines.clone();
        // Log events of dependencies have lower levels.
        let log = tracing_subscriber::fmt::layer()
            .json()
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .with_filter(LevelFilter::INFO);
        let spans = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SCOPE))
            .with_filter(filter());
        let subscriber = tracing_subscriber::registry()
            .with(log)
            .with(spans)
            .with(backend.recorder_layer(&recorder));
        let (facade, scrape) = Prometheus::builder().build().unwrap();
        let exported = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exported.clone()).build();
        Self {
            exporter,
            source: Source {
                provider,
                recorder: Arc::new(recorder),
            },
            lines,
            scrape,
            meter: SdkMeterProvider::builder().with_reader(reader).build(),
            exported,
            _facade: metrics::set_default_local_recorder(Box::leak(Box::new(facade))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the metrics layer with both metrics backends.
    pub(crate) fn metrics_layer(
        &self,
        layer: fn() -> MetricsLayer,
    ) -> impl Observe<Exchange: Send + Sync + 'static> + Clone + use<> {
        let other = with_metric_options(layer()).meter_provider(&self.meter);
        (with_metric_options(layer()), other)
    }

    /// Returns all outputs. Checks the number of spans.
    pub(crate) fn outputs(self, count: usize, internal: Vec<u8>, external: Vec<u8>) -> Outputs {
        let recorder = &self.source.recorder;
        recorder.flush(Duration::from_secs(20)).unwrap();
        self.meter.force_flush().unwrap();
        let spans = self.exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), count, "{spans:#?}");
        let resource = ResourceAttributesWithSchema::from(&Resource::builder_empty().build());
        let spans = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &resource),
        };
        let metrics = self.exported.get_finished_metrics().unwrap();
        let metrics = metrics.iter().map(ExportMetricsServiceRequest::from);
        Outputs {
            spans: spans.encode_to_vec(),
            meter: metrics
                .flat_map(|request| request.encode_to_vec())
                .collect(),
            scrape: self.scrape.render().into_bytes(),
            log: self.lines.0.lock().unwrap().clone(),
            internal,
            external,
        }
    }
}

fn tenant(request: &dyn RequestHead) -> Option<Cow<'static, str>> {
    let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
    Some(tenant.to_owned().into())
}

fn with_metric_options(layer: MetricsLayer) -> MetricsLayer {
    layer
        .label("tenant", tenant)
        .body_sizes()
        .in_flight_by_route()
}
