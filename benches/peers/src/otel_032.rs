//! The same signals of OpenTelemetry 0.32, for crates that have no newer one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry_032::{
    Context, ContextGuard, SpanId, TraceFlags, TraceId, global,
    trace::{SpanContext, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_sdk_032::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, Histogram, HistogramDataPoint, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
    propagation::TraceContextPropagator,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
    },
};
use tower_otel_benches::recorded;
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

const ASLEEP: Duration = Duration::from_secs(3600);

/// A span that is current, as `client_arms::current` of the newer one.
pub fn current() -> ContextGuard {
    let span = SpanContext::new(
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(span).attach()
}

/// Spans of `tracing`, as for the others; what empties their queue.
pub fn subscriber() -> impl Fn() + Send + Sync + 'static {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(ASLEEP)
        .build();
    let batches = BatchSpanProcessor::builder(Nothing)
        .with_batch_config(config)
        .build();
    let traces = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(batches)
        .build();
    let spans = tracing_opentelemetry_033::layer()
        .with_tracer(traces.tracer("benches"))
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(spans).init();
    move || traces.force_flush().unwrap()
}

/// Instruments, as for the others.
pub fn meters() -> SdkMeterProvider {
    let samples = Samples::default();
    let reader = PeriodicReader::builder(samples.clone())
        .with_interval(ASLEEP)
        .build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let metered = meters.clone();
    recorded::samples_by(move || {
        metered.force_flush().unwrap();
        samples.0.load(Relaxed)
    });
    meters
}

#[derive(Debug)]
struct Nothing;

impl SpanExporter for Nothing {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        recorded::exported(batch.len());
        Ok(())
    }
}

/// How many values the histograms held that were exported last.
#[derive(Clone, Debug, Default)]
struct Samples(Arc<AtomicU64>);

impl PushMetricExporter for Samples {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        let samples = metrics.map(|metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(of)) => values(of),
            AggregatedMetrics::U64(MetricData::Histogram(of)) => values(of),
            _ => 0,
        });
        self.0.store(samples.sum(), Relaxed);
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

fn values<T: Copy>(histogram: &Histogram<T>) -> u64 {
    histogram.data_points().map(HistogramDataPoint::count).sum()
}
