//! Exports spans to a collector, by the SDK as `tower-otel-init` configures it and by two recorders.

use std::{sync::Arc, time::Duration};

use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::runtime::{Builder, Runtime};
use tower_otel_init::{Layers, MetricsExporter, Telemetry};
use tower_otel_trace::Recorder;
use tracing_subscriber::Registry;

/// The delay of a batch.
const DELAY: Duration = Duration::from_millis(50);

/// The timeout of a shutdown.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The SDK and two recorders, one for spans of `tracing`, all exporting to one collector.
#[derive(Debug)]
pub struct Pipeline {
    service_names: [String; 3],
    telemetry: Telemetry,
    recorder: Recorder,
    layer_recorder: Recorder,
    // Dropped last: the recorders export on it.
    _export_runtime: Runtime,
}

/// The spans of one exporter.
#[derive(Clone, Copy, Debug)]
pub struct SpanTotals {
    /// Spans that the sender counts as delivered.
    pub delivered: u64,
    /// Spans that the sender counts as lost.
    pub lost: u64,
}

impl Pipeline {
    pub fn start(name: &str, endpoint: String) -> Self {
        let service_names =
            ["sdk", "recorder", "recorder layer"].map(|exporter| format!("{name}, {exporter}"));
        let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder(&service_names[0])
            .endpoint(&endpoint)
            .sampler(tower_otel_init::Sampler::AlwaysOn)
            .metrics(MetricsExporter::None)
            .schedule_delay(DELAY)
            .local()
            .unwrap();
        let mut export_runtime = Builder::new_multi_thread();
        let export_runtime = export_runtime
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let recorder = |service_name: &String| {
            let exporter = {
                let _entered = export_runtime.enter();
                let builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
                builder.with_endpoint(&endpoint).build().unwrap()
            };
            let exporter = RuntimeExporter {
                exporter: Arc::new(exporter),
                runtime: export_runtime.handle().clone(),
            };
            let resource = Resource::builder_empty().with_service_name(service_name.clone());
            Recorder::builder(exporter)
                .resource(resource.build())
                .sampler_without_attributes(Sampler::AlwaysOn)
                .delay(DELAY)
                .build()
                .unwrap()
        };
        let (recorder, layer_recorder) = (recorder(&service_names[1]), recorder(&service_names[2]));
        Self {
            service_names,
            telemetry,
            recorder,
            layer_recorder,
            _export_runtime: export_runtime,
        }
    }

    pub fn provider(&self) -> &SdkTracerProvider {
        self.telemetry.tracer_provider().unwrap()
    }

    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns the recorder for spans of `tracing`.
    pub const fn layer_recorder(&self) -> &Recorder {
        &self.layer_recorder
    }

    /// Returns the service names of the SDK, of the recorder and of the recorder for spans of `tracing`.
    pub const fn service_names(&self) -> &[String; 3] {
        &self.service_names
    }

    /// Delivers the remaining spans and shuts down. Earlier losses may cause errors, but no timeout.
    pub fn stop(&self) {
        let _ = self.telemetry.shutdown(TIMEOUT);
        for recorder in [&self.recorder, &self.layer_recorder] {
            let stopped = recorder.shutdown(TIMEOUT);
            assert!(
                !matches!(stopped, Err(OTelSdkError::Timeout(_))),
                "the shutdown of a recorder timed out"
            );
        }
        assert_eq!(
            self.telemetry.dropped_spans().shutdown,
            0,
            "spans were dropped at the shutdown"
        );
    }

    /// Returns the totals in the order of the service names, for this number of spans of the SDK.
    pub fn span_totals(&self, sdk: u64) -> [SpanTotals; 3] {
        let lost = self.telemetry.dropped_spans().total();
        let of_recorder = |recorder: &Recorder| {
            let counts = recorder.counts();
            SpanTotals {
                delivered: counts.exported + counts.rejected,
                lost: counts.failed + counts.dropped,
            }
        };
        let of_sdk = SpanTotals {
            delivered: sdk - lost,
            lost,
        };
        [
            of_sdk,
            of_recorder(&self.recorder),
            of_recorder(&self.layer_recorder),
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
        // The only reference until the first export.
        Arc::get_mut(&mut self.exporter)
            .unwrap()
            .set_resource(resource);
    }
}
