//! Spans on their way to a collector: by the SDK as `tower-otel-init` starts it, and by a recorder.

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

/// How long spans wait for others.
const DELAY: Duration = Duration::from_millis(50);

/// Nothing takes longer than this, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both ways to one collector.
#[derive(Debug)]
pub struct Pipeline {
    names: [String; 2],
    telemetry: Telemetry,
    recorder: Recorder,
    // The last to go: the recorder exports there.
    _exports: Runtime,
}

/// What became of the spans of one way.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// Delivered, as the sender has it.
    pub delivered: u64,
    /// Counted as lost.
    pub lost: u64,
}

impl Pipeline {
    pub fn start(name: &str, endpoint: String) -> Self {
        let names = ["sdk", "recorder"].map(|way| format!("{name}, {way}"));
        let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder(&names[0])
            .endpoint(&endpoint)
            .sampler(tower_otel_init::Sampler::AlwaysOn)
            .metrics(MetricsExporter::None)
            .schedule_delay(DELAY)
            .local()
            .unwrap();
        let mut exports = Builder::new_multi_thread();
        let exports = exports.worker_threads(1).enable_all().build().unwrap();
        let exporter = {
            let _entered = exports.enter();
            let builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
            builder.with_endpoint(endpoint).build().unwrap()
        };
        let exporter = Elsewhere {
            exporter: Arc::new(exporter),
            runtime: exports.handle().clone(),
        };
        let resource = Resource::builder_empty().with_service_name(names[1].clone());
        let recorder = Recorder::builder(exporter)
            .resource(resource.build())
            .sampler_by_trace(Sampler::AlwaysOn)
            .delay(DELAY)
            .build()
            .unwrap();
        Self {
            names,
            telemetry,
            recorder,
            _exports: exports,
        }
    }

    pub fn provider(&self) -> &SdkTracerProvider {
        self.telemetry.tracer_provider().unwrap()
    }

    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The services as which the SDK and the recorder send.
    pub const fn names(&self) -> &[String; 2] {
        &self.names
    }

    /// Delivers what is left. What was lost before may be complained of, but nothing may hang.
    pub fn stop(&self) {
        let _ = self.telemetry.shutdown(PATIENCE);
        let stopped = self.recorder.shutdown(PATIENCE);
        assert!(
            !matches!(stopped, Err(OTelSdkError::Timeout(_))),
            "it hangs"
        );
        assert_eq!(
            self.telemetry.dropped_spans().shutdown,
            0,
            "spans were left"
        );
    }

    /// What has become of so many spans of the SDK, and of those of the recorder.
    pub fn fates(&self, sdk: u64) -> [Fate; 2] {
        let (lost, counts) = (self.telemetry.dropped_spans(), self.recorder.counts());
        [
            Fate {
                delivered: sdk - lost.total(),
                lost: lost.total(),
            },
            Fate {
                delivered: counts.exported,
                lost: counts.failed + counts.dropped,
            },
        ]
    }
}

/// An exporter that wants to be on a runtime.
#[derive(Debug)]
struct Elsewhere<E> {
    exporter: Arc<E>,
    runtime: tokio::runtime::Handle,
}

impl<E: SpanExporter + 'static> SpanExporter for Elsewhere<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let export = self
            .runtime
            .spawn(async move { exporter.export(batch).await });
        let failed = |error| OTelSdkError::InternalFailure(format!("{error}"));
        export.await.map_err(failed)?
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Nobody else holds it yet.
        Arc::get_mut(&mut self.exporter)
            .unwrap()
            .set_resource(resource);
    }
}
