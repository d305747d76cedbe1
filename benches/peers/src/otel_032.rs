//! The signals with OpenTelemetry 0.32, for crates that need it.

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
use tower_otel_benches::recorded_counts;
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

const EXPORT_INTERVAL: Duration = Duration::from_secs(3600);

/// Makes a span current, like `client_arms::attach_parent_span`.
pub fn attach_parent_span() -> ContextGuard {
    let span = SpanContext::new(
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(span).attach()
}

/// Installs a subscriber that exports `tracing` spans. Returns a function that flushes them.
pub fn subscriber() -> impl Fn() + Send + Sync + 'static {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    let batches = BatchSpanProcessor::builder(DiscardingExporter)
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

/// Returns a meter provider.
pub fn meters() -> SdkMeterProvider {
    let samples = Samples::default();
    let reader = PeriodicReader::builder(samples.clone())
        .with_interval(EXPORT_INTERVAL)
        .build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let metered = meters.clone();
    recorded_counts::set_sample_counter(move || {
        metered.force_flush().unwrap();
        samples.0.load(Relaxed)
    });
    meters
}

#[derive(Debug)]
struct DiscardingExporter;

impl SpanExporter for DiscardingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        recorded_counts::add_spans(batch.len());
        Ok(())
    }
}

/// The number of samples in the last exported histograms.
#[derive(Clone, Debug, Default)]
struct Samples(Arc<AtomicU64>);

impl PushMetricExporter for Samples {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        let samples = metrics.map(|metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => values(histogram),
            AggregatedMetrics::U64(MetricData::Histogram(histogram)) => values(histogram),
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
