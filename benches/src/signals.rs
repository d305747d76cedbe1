//! Where spans and numbers go.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality, data::ResourceMetrics,
        exporter::PushMetricExporter,
    },
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
    },
};
use tower_otel_metrics::prometheus::Prometheus;
use tower_otel_trace::Recorder;
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Starts the signals that an arm asks for, and no other.
pub trait Signals {
    /// Spans of OpenTelemetry.
    fn traces(&self) -> SdkTracerProvider;

    /// Compact records, of which spans are made.
    fn recorder(&self) -> &Recorder;

    /// Spans of `tracing`, exported; for the whole process.
    fn subscriber(&self);

    /// A recorder of the `metrics` facade; for the whole process.
    fn prometheus(&self);

    /// Instruments of OpenTelemetry.
    fn meters(&self) -> SdkMeterProvider;
}

/// So many per cent of the traces, by their ids.
pub fn sampler(per_cent: u32) -> Sampler {
    match per_cent {
        0 => Sampler::AlwaysOff,
        100.. => Sampler::AlwaysOn,
        part => Sampler::TraceIdRatioBased(f64::from(part) / 100.0),
    }
}

/// The threads that export sleep while turns are measured: they are woken by a flush alone.
const ASLEEP: Duration = Duration::from_secs(3600);

/// Everything is made and batched as it would be for a collector, and then discarded.
#[derive(Debug)]
pub struct Discarded {
    sampling: u32,
    traces: SdkTracerProvider,
    recorder: Arc<OnceLock<Recorder>>,
}

impl Discarded {
    /// Samples so many per cent of the traces, by their ids.
    pub fn new(sampling: u32) -> Self {
        let config = BatchConfigBuilder::default()
            .with_scheduled_delay(ASLEEP)
            .build();
        let traces = SdkTracerProvider::builder()
            .with_sampler(sampler(sampling))
            .with_span_processor(BatchSpanProcessor::new(Nothing, config))
            .build();
        Self {
            sampling,
            traces,
            recorder: Arc::default(),
        }
    }

    /// Empties the queues of ended spans.
    pub fn flush(&self) -> impl Fn() + Send + Sync + 'static {
        let (traces, recorder) = (self.traces.clone(), Arc::clone(&self.recorder));
        move || {
            traces.force_flush().unwrap();
            if let Some(recorder) = recorder.get() {
                recorder.flush(Duration::from_secs(10)).unwrap();
            }
        }
    }
}

impl Signals for Discarded {
    fn traces(&self) -> SdkTracerProvider {
        self.traces.clone()
    }

    fn recorder(&self) -> &Recorder {
        let recorder = || {
            Recorder::builder(Nothing)
                .sampler_by_trace(sampler(self.sampling))
                .delay(ASLEEP)
                .build()
        };
        self.recorder.get_or_init(|| recorder().unwrap())
    }

    /// As the README of the suite does it.
    fn subscriber(&self) {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.traces.tracer("benches"))
            .with_filter(LevelFilter::INFO);
        tracing_subscriber::registry().with(spans).init();
    }

    fn prometheus(&self) {
        Prometheus::install().unwrap();
    }

    fn meters(&self) -> SdkMeterProvider {
        let reader = PeriodicReader::builder(Nothing)
            .with_interval(ASLEEP)
            .build();
        SdkMeterProvider::builder().with_reader(reader).build()
    }
}

#[derive(Debug)]
struct Nothing;

impl SpanExporter for Nothing {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

impl PushMetricExporter for Nothing {
    async fn export(&self, _metrics: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
