//! The recorder of all spans.

use std::io;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter;
use tower_otel_recorder::{Recorder, RecorderBuilder, RecorderTracerProvider};

use crate::config::Config;
use crate::console_traces::ConsoleTraces;
use crate::discarding_exporter::DiscardingExporter;
use crate::export_runtime::ExportRuntime;
use crate::item_counts::ItemCounts;
use crate::otlp_config::OtlpConfig;
use crate::runtime_span_exporter::RuntimeSpanExporter;

/// A recorder with its exporter, and what became of its spans.
#[derive(Debug)]
pub(crate) struct SpanRecorder {
    pub(crate) recorder: Recorder,
    pub(crate) provider: RecorderTracerProvider,
    /// Whether spans that are not exported are lost.
    counts_losses: bool,
    /// The number of spans that the collector rejected from batches that it accepted.
    rejected: Arc<AtomicU64>,
}

impl SpanRecorder {
    /// Starts a recorder that sends spans to a collector.
    pub(crate) fn otlp<E: SpanExporter + 'static>(
        exporter: E,
        otlp: &OtlpConfig,
        runtime: &ExportRuntime,
        config: &Config,
        resource: Resource,
    ) -> io::Result<Self> {
        let rejected = Arc::default();
        let timeout = config.span_batch.export_timeout;
        let exporter =
            RuntimeSpanExporter::new(exporter, &otlp.endpoint, timeout, runtime, &rejected);
        let builder = Recorder::builder(exporter)
            .sampler_without_attributes(config.sampler.to_sdk())
            .queue_size(config.span_batch.queue_size)
            .queue_bytes(queue_bytes(config.span_batch.queue_size))
            .batch_size(config.span_batch.batch_size)
            .delay(config.span_batch.schedule_delay);
        Ok(Self {
            rejected,
            ..Self::build(builder, config, resource)?
        })
    }

    /// Starts a recorder that prints each trace when the last of its spans has ended.
    pub(crate) fn console(config: &Config, resource: Resource) -> io::Result<Self> {
        let traces = ConsoleTraces::stdout();
        let sampler = traces.sampler(config.sampler.to_sdk());
        let builder = Recorder::builder(traces)
            .sampler(sampler)
            .queue_size(config.span_batch.queue_size)
            // Each span wakes the export thread.
            .batch_size(1);
        Self::build(builder, config, resource)
    }

    /// Starts a recorder that exports no spans. They have ids and propagate all the same.
    pub(crate) fn none(config: &Config, resource: Resource) -> io::Result<Self> {
        let builder = Recorder::builder(DiscardingExporter)
            .sampler_without_attributes(config.sampler.to_sdk())
            .queue_size(usize::MAX)
            .queue_bytes(usize::MAX);
        Ok(Self {
            counts_losses: false,
            ..Self::build(builder, config, resource)?
        })
    }

    fn build<E: SpanExporter + 'static>(
        builder: RecorderBuilder<E>,
        config: &Config,
        resource: Resource,
    ) -> io::Result<Self> {
        let limits = &config.span_limits;
        let mut builder = builder.limits(limits.counts).resource(resource);
        if let Some(characters) = limits.text_length {
            builder = builder.text_length(characters);
        }
        let recorder = builder.build()?;
        Ok(Self {
            provider: recorder.tracer_provider(),
            recorder,
            counts_losses: true,
            rejected: Arc::default(),
        })
    }

    pub(crate) fn counts(&self) -> ItemCounts {
        if !self.counts_losses {
            return ItemCounts::default();
        }
        ItemCounts::of_spans(self.recorder.counts(), self.rejected.load(Relaxed))
    }
}

/// Returns how many bytes the waiting spans have at most: the default of the recorder, and more for more spans.
fn queue_bytes(queue_size: usize) -> usize {
    const DEFAULT: usize = 16 << 20;
    const SPAN: usize = 4 << 10;
    queue_size.saturating_mul(SPAN).max(DEFAULT)
}
