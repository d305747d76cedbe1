//! Where spans and numbers go.

use std::time::Duration;

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
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Starts the signals that an arm asks for, and no other.
pub trait Signals {
    /// Spans of OpenTelemetry.
    fn traces(&self) -> SdkTracerProvider;

    /// Spans of `tracing`, exported; for the whole process.
    fn subscriber(&self);

    /// A recorder of the `metrics` facade; for the whole process.
    fn recorder(&self);

    /// Instruments of OpenTelemetry.
    fn meters(&self) -> SdkMeterProvider;
}

/// Everything is made and batched as it would be for a collector, and then discarded.
#[derive(Debug)]
pub struct Discarded {
    traces: SdkTracerProvider,
}

impl Discarded {
    /// Samples so many per cent of the traces, by their ids.
    pub fn new(sampling: u32) -> Self {
        let sampler = match sampling {
            0 => Sampler::AlwaysOff,
            100.. => Sampler::AlwaysOn,
            part => Sampler::TraceIdRatioBased(f64::from(part) / 100.0),
        };
        // The exporter's thread sleeps while turns are measured: it is woken by `flush` alone.
        let config = BatchConfigBuilder::default()
            .with_scheduled_delay(Duration::from_secs(3600))
            .build();
        let traces = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_span_processor(BatchSpanProcessor::new(Nothing, config))
            .build();
        Self { traces }
    }

    /// Empties the queue of ended spans.
    pub fn flush(&self) -> impl Fn() + Send + Sync + 'static {
        let traces = self.traces.clone();
        move || traces.force_flush().unwrap()
    }
}

impl Signals for Discarded {
    fn traces(&self) -> SdkTracerProvider {
        self.traces.clone()
    }

    /// As the README of the suite does it.
    fn subscriber(&self) {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.traces.tracer("benches"))
            .with_filter(LevelFilter::INFO);
        tracing_subscriber::registry().with(spans).init();
    }

    fn recorder(&self) {
        Prometheus::install().unwrap();
    }

    fn meters(&self) -> SdkMeterProvider {
        let reader = PeriodicReader::builder(Nothing)
            .with_interval(Duration::from_secs(3600))
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
