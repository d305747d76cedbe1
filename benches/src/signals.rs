//! Where spans and numbers go.

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
use tower_otel_trace::Recorder;
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::recorded;

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

    /// As `tower-otel-init` does it.
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
        let prometheus = Prometheus::install().unwrap();
        recorded::samples_by(move || recorded::samples_of(&prometheus.render()));
    }

    fn meters(&self) -> SdkMeterProvider {
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
