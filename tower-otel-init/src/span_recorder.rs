//! The recorder of all spans, and its configuration.

use std::io::ErrorKind;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use tower_otel_recorder::{Recorder, RecorderBuilder, RecorderTracerProvider};

use crate::config::Config;
use crate::console_traces::{ConsoleTraces, StartedSpans};
use crate::discarding_exporter::DiscardingExporter;
use crate::endpoint::redact_urls;
use crate::error::InitError;
use crate::item_counts::ItemCounts;
use crate::otlp_config::OtlpConfig;
#[cfg(any(feature = "grpc", feature = "http"))]
use crate::otlp_span_exporter;
use crate::root_sampler::{self, RootSampler};
use crate::sampler::Sampler;

/// A recorder with its exporter, and the counts of its spans.
#[derive(Debug)]
pub(crate) struct SpanRecorder {
    pub(crate) recorder: Recorder,
    pub(crate) provider: RecorderTracerProvider,
    /// Whether spans that are not exported are counted as dropped.
    pub(crate) counts_losses: bool,
    /// Whether keep rules can export unsampled traces.
    pub(crate) keeps: bool,
    /// The counter of the spans that start. `None` if traces are not printed.
    started: Option<StartedSpans>,
}

/// A function that receives each span as an OTLP message, and its scope, on the export thread.
pub(crate) type SpanTap = Box<dyn FnMut(&[u8], &InstrumentationScope) + Send>;

/// The maximum time from the end of a span until the page has it.
const TAP_DELAY: Duration = Duration::from_secs(1);

impl SpanRecorder {
    /// Starts a recorder that sends spans to a collector.
    #[cfg(any(feature = "grpc", feature = "http"))]
    pub(crate) fn otlp(
        otlp: &OtlpConfig,
        config: &Config,
        resource: Resource,
        tap: Option<SpanTap>,
    ) -> Result<Self, InitError> {
        let exporter = otlp_span_exporter::build(otlp, config.span_batch.export_timeout)?;
        let builder = Recorder::builder(exporter)
            .queue_size(config.span_batch.queue_size)
            .queue_bytes(bytes(config.span_batch.queue_size, QUEUE_BYTES))
            .batch_size(config.span_batch.batch_size)
            .batch_bytes(bytes(config.span_batch.batch_size, BATCH_BYTES))
            .delay(config.span_batch.schedule_delay);
        let builder = with_rules(builder, config);
        Self::build(with_tap(builder, config, tap), config, resource, None)
    }

    #[cfg(not(any(feature = "grpc", feature = "http")))]
    pub(crate) fn otlp(
        otlp: &OtlpConfig,
        _: &Config,
        _: Resource,
        _: Option<SpanTap>,
    ) -> Result<Self, InitError> {
        Err(otlp.missing_protocol())
    }

    /// Starts a recorder that prints each trace when the last of its spans has ended.
    pub(crate) fn console(
        config: &Config,
        resource: Resource,
        tap: Option<SpanTap>,
    ) -> Result<Self, InitError> {
        let traces = ConsoleTraces::stdout().map_err(InitError::Thread)?;
        let started = traces.started();
        let builder = Recorder::builder(traces)
            .queue_size(config.span_batch.queue_size)
            // A batch size of 1 makes each span wake the export thread.
            .batch_size(1);
        let builder = with_rules(builder, config);
        Self::build(
            with_tap(builder, config, tap),
            config,
            resource,
            Some(started),
        )
    }

    /// Starts a recorder that exports no spans. Spans still have ids and are propagated.
    pub(crate) fn none(
        config: &Config,
        resource: Resource,
        tap: Option<SpanTap>,
    ) -> Result<Self, InitError> {
        let builder = Recorder::builder(DiscardingExporter);
        let keeps = tap.is_some();
        let builder = match tap {
            // The page also shows unsampled traces that keep rules select.
            Some(tap) => with_tap(with_rules(builder, config), config, Some(tap)),
            None => builder,
        };
        Ok(Self {
            counts_losses: false,
            keeps,
            ..Self::build(builder, config, resource, None)?
        })
    }

    fn build(
        builder: RecorderBuilder,
        config: &Config,
        resource: Resource,
        started: Option<StartedSpans>,
    ) -> Result<Self, InitError> {
        let limits = &config.span_limits;
        let mut builder = builder.limits(limits.counts).resource(resource);
        if let Some(characters) = limits.text_length {
            builder = builder.text_length(characters);
        }
        let recorder = builder.build().map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => InitError::Exporter(redact_urls(&error.to_string()).into()),
            _ => InitError::Thread(error),
        })?;
        let spans = Self {
            provider: recorder.tracer_provider(),
            recorder,
            counts_losses: true,
            keeps: true,
            started,
        };
        spans.set_sampler(&config.sampler);
        Ok(spans)
    }

    /// Replaces the sampler.
    pub(crate) fn set_sampler(&self, sampler: &Sampler) {
        match &self.started {
            Some(started) => {
                let counting = started.count(RootSampler::new(sampler));
                self.recorder.set_sampler(counting);
            }
            None => root_sampler::set(&self.recorder, sampler),
        }
    }

    /// Returns the counts, also if spans are not exported.
    #[cfg(feature = "page")]
    pub(crate) fn recorded(&self) -> ItemCounts {
        ItemCounts::of_spans(self.recorder.counts())
    }

    pub(crate) fn counts(&self) -> ItemCounts {
        if !self.counts_losses {
            return ItemCounts::default();
        }
        ItemCounts::of_spans(self.recorder.counts())
    }
}

/// Sets the function that adds spans to the page, and the maximum time until it is called.
fn with_tap(builder: RecorderBuilder, config: &Config, tap: Option<SpanTap>) -> RecorderBuilder {
    match tap {
        Some(tap) => builder
            .delay(config.span_batch.schedule_delay.min(TAP_DELAY))
            .tap(tap),
        None => builder,
    }
}

fn with_rules(builder: RecorderBuilder, config: &Config) -> RecorderBuilder {
    match config.keep {
        Some(rules) => builder.keep(rules.keep()),
        None => builder,
    }
}

/// The recorder's default limits of the queue and of a batch, in bytes.
#[cfg(any(feature = "grpc", feature = "http"))]
const QUEUE_BYTES: usize = 16 << 20;
#[cfg(any(feature = "grpc", feature = "http"))]
const BATCH_BYTES: usize = 2 << 20;

/// Returns the limit in bytes for a number of spans: 4 KiB per span, but at least the default.
#[cfg(any(feature = "grpc", feature = "http"))]
fn bytes(spans: usize, default: usize) -> usize {
    const SPAN: usize = 4 << 10;
    spans.saturating_mul(SPAN).max(default)
}
