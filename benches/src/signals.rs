//! The backends of spans and metrics.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, Histogram, HistogramDataPoint, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
    },
};
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::Keep;
use tower_otel_trace::Recorder;
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{compact_layer::CompactLayer, recorded_counts, yardstick};

static COMPACT_LAYER: OnceLock<CompactLayer> = OnceLock::new();

/// Starts the signals that an arm uses.
pub trait Signals {
    /// Returns a tracer provider of OpenTelemetry.
    fn traces(&self) -> SdkTracerProvider;

    /// Returns a recorder of compact spans.
    fn recorder(&self) -> &Recorder;

    /// Installs a subscriber of the process that exports `tracing` spans.
    fn subscriber(&self);

    /// Installs a subscriber of the process that records `tracing` spans with the recorder, configured as by
    /// `tower-otel-init`.
    fn recorder_subscriber(&self) {
        let layer = self.recorder().layer().location(false).target(false);
        let spans = layer.spans(LevelFilter::INFO).alone();
        tracing_subscriber::registry().with(spans).init();
    }

    /// Installs a subscriber of the process that records `tracing` spans as a yardstick.
    fn compact_subscriber(&self) {
        let spans = COMPACT_LAYER.get_or_init(|| CompactLayer::start(false));
        tracing_subscriber::registry().with(spans.clone()).init();
    }

    /// Installs a `metrics` recorder of the process.
    fn prometheus(&self);

    /// Returns a meter provider of OpenTelemetry.
    fn meters(&self) -> SdkMeterProvider;
}

/// Returns a sampler of a percentage of traces, by trace id.
pub fn sampler(percentage: u32) -> Sampler {
    match percentage {
        0 => Sampler::AlwaysOff,
        100.. => Sampler::AlwaysOn,
        part => Sampler::TraceIdRatioBased(f64::from(part) / 100.0),
    }
}

/// The export interval. It is longer than a measurement, so that only a flush wakes the export threads.
const EXPORT_INTERVAL: Duration = Duration::from_secs(3600);

/// Records and batches spans as for a collector, with an exporter that discards them.
#[derive(Debug)]
pub struct DiscardingSignals {
    sampling: u32,
    traces: SdkTracerProvider,
    recorder: Arc<OnceLock<Recorder>>,
    keep: Option<Keep>,
}

impl DiscardingSignals {
    /// Samples a percentage of traces, by trace id.
    pub fn new(sampling: u32) -> Self {
        let config = BatchConfigBuilder::default()
            .with_scheduled_delay(EXPORT_INTERVAL)
            .build();
        let traces = SdkTracerProvider::builder()
            .with_sampler(sampler(sampling))
            .with_span_processor(BatchSpanProcessor::new(DiscardingExporter, config))
            .build();
        Self {
            sampling,
            traces,
            recorder: Arc::default(),
            keep: None,
        }
    }

    /// Sets keep rules of the recorder, so that it holds the spans of traces that are not sampled.
    pub fn keep(self, rules: Keep) -> Self {
        Self {
            keep: Some(rules),
            ..self
        }
    }

    /// Records spans with this recorder.
    pub fn with_recorder(recorder: Recorder) -> Self {
        let signals = Self::new(100);
        let _ = signals.recorder.set(recorder);
        signals
    }

    /// Returns a function that flushes the export queues.
    pub fn flush(&self) -> impl Fn() + Send + Sync + 'static {
        let (traces, recorder) = (self.traces.clone(), Arc::clone(&self.recorder));
        move || {
            traces.force_flush().unwrap();
            if let Some(recorder) = recorder.get() {
                recorder.flush(Duration::from_secs(10)).unwrap();
            }
            flush_yardsticks();
        }
    }
}

/// Waits until the ended spans of the yardsticks are read.
pub fn flush_yardsticks() {
    if let Some(layer) = COMPACT_LAYER.get() {
        layer.flush();
    }
    yardstick::record::flush();
}

impl Signals for DiscardingSignals {
    fn traces(&self) -> SdkTracerProvider {
        self.traces.clone()
    }

    fn recorder(&self) -> &Recorder {
        let recorder = || {
            let builder = Recorder::builder(DiscardingExporter)
                .sampler_without_attributes(sampler(self.sampling))
                .delay(EXPORT_INTERVAL);
            match self.keep {
                Some(rules) => builder.keep(rules).build(),
                None => builder.build(),
            }
        };
        self.recorder.get_or_init(|| recorder().unwrap())
    }

    /// Installs tracing-opentelemetry.
    fn subscriber(&self) {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.traces.tracer("benches"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(LevelFilter::INFO);
        tracing_subscriber::registry().with(spans).init();
    }

    fn prometheus(&self) {
        let prometheus = Prometheus::builder().exemplars().install().unwrap();
        recorded_counts::set_sample_counter(move || {
            recorded_counts::samples_in_page(&prometheus.render())
        });
    }

    fn meters(&self) -> SdkMeterProvider {
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
