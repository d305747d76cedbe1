//! Exports spans to a collector, with `tower-otel-init` and with a recorder.

use std::{sync::Arc, time::Duration};

use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SpanData, SpanExporter},
};
use tokio::runtime::{Builder, Runtime};
use tower_otel_init::{Layers, MetricsExporter, Telemetry};
use tower_otel_recorder::RecorderTracerProvider;
use tower_otel_trace::Recorder;
use tracing_subscriber::Registry;

/// The timeout of a shutdown.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `tower-otel-init` and a recorder, both exporting to one collector.
#[derive(Debug)]
pub struct Pipeline {
    service_names: [String; 2],
    telemetry: Telemetry,
    recorder: Recorder,
    // Dropped last, because the recorder exports on this runtime.
    _export_runtime: Runtime,
}

/// The spans of one exporter.
#[derive(Clone, Copy, Debug)]
pub struct SpanTotals {
    /// Spans that the sender counts as delivered.
    pub delivered: u64,
    /// Spans that the sender counts as dropped.
    pub lost: u64,
}

impl Pipeline {
    /// Starts both, with this delay of a batch. Also returns the layers of `tower-otel-init`.
    pub fn start(name: &str, endpoint: String, delay: Duration) -> (Self, Layers<Registry>) {
        let service_names = ["init", "recorder"].map(|exporter| format!("{name}, {exporter}"));
        let (telemetry, layers) = Telemetry::builder(&service_names[0])
            .endpoint(&endpoint)
            .sampler(tower_otel_init::Sampler::ratio(1.0))
            .metrics(MetricsExporter::None)
            .schedule_delay(delay)
            .local()
            .unwrap();
        let mut export_runtime = Builder::new_multi_thread();
        let export_runtime = export_runtime
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let exporter = {
            let _entered = export_runtime.enter();
            let builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
            builder.with_endpoint(endpoint).build().unwrap()
        };
        let exporter = RuntimeExporter {
            exporter: Arc::new(exporter),
            runtime: export_runtime.handle().clone(),
        };
        let resource = Resource::builder_empty().with_service_name(service_names[1].clone());
        let recorder = Recorder::builder(exporter)
            .resource(resource.build())
            .sampler_without_attributes(Sampler::AlwaysOn)
            .delay(delay)
            .build()
            .unwrap();
        let pipeline = Self {
            service_names,
            telemetry,
            recorder,
            _export_runtime: export_runtime,
        };
        (pipeline, layers)
    }

    pub fn provider(&self) -> &RecorderTracerProvider {
        self.telemetry.tracer_provider().unwrap()
    }

    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns the service names of `tower-otel-init` and of the recorder.
    pub const fn service_names(&self) -> &[String; 2] {
        &self.service_names
    }

    /// Exports the remaining spans and shuts down. Earlier drops may cause errors, but no timeout.
    pub fn stop(&self) {
        let _ = self.telemetry.shutdown(TIMEOUT);
        let stopped = self.recorder.shutdown(TIMEOUT);
        assert!(
            !matches!(stopped, Err(OTelSdkError::Timeout(_))),
            "the shutdown of the recorder timed out"
        );
        assert_eq!(
            self.telemetry.dropped_spans().shutdown,
            0,
            "spans were dropped at the shutdown"
        );
    }

    /// Returns the totals of `tower-otel-init` and of the recorder. `init` is the number of spans of `tower-otel-init`.
    pub fn span_totals(&self, init: u64) -> [SpanTotals; 2] {
        let (lost, counts) = (self.telemetry.dropped_spans(), self.recorder.counts());
        [
            SpanTotals {
                delivered: init - lost.total(),
                lost: lost.total(),
            },
            SpanTotals {
                delivered: counts.exported,
                lost: counts.failed + counts.dropped,
            },
        ]
    }
}

/// An exporter that runs on a tokio runtime.
#[derive(Debug)]
struct RuntimeExporter<E> {
    exporter: Arc<E>,
    runtime: tokio::runtime::Handle,
}

impl<E: SpanExporter + 'static> SpanExporter for RuntimeExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let export = self
            .runtime
            .spawn(async move { exporter.export(batch).await });
        let failed = |error| OTelSdkError::InternalFailure(format!("{error}"));
        export.await.map_err(failed)?
    }

    fn set_resource(&mut self, resource: &Resource) {
        // No other reference exists until the first export.
        Arc::get_mut(&mut self.exporter)
            .unwrap()
            .set_resource(resource);
    }
}
