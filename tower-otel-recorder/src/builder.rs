//! The options of a recorder.

use std::{fmt, io, sync::Arc, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator, Sampler, ShouldSample, SpanLimits},
};

use crate::{
    amount::Amount,
    exporter::{BoxedExporter, Exporter},
    keep::{Keep, Keeper},
    limits::Limits,
    pipeline::Pipeline,
    recorder::Recorder,
    sampler::{LiveSampler, SamplerState},
    sampling::Sampling,
    shared::Shared,
    tap::Tap,
    worker,
};

const MEGABYTE: usize = 1024 * 1024;

/// Configures a [`Recorder`].
#[derive(Debug)]
#[must_use]
pub struct RecorderBuilder {
    exporter: HiddenExporter,
    resource: Option<Resource>,
    sampling: Sampling,
    limits: Limits,
    queue: Amount,
    batch: Amount,
    delay: Duration,
    keep: Option<Keep>,
    tap: Tap,
}

impl Recorder {
    /// Returns a builder for a recorder with this exporter.
    ///
    /// The exporter runs on a thread of its own, outside of any asynchronous runtime, as with the SDK's batch processor.
    pub fn builder(exporter: impl Exporter) -> RecorderBuilder {
        RecorderBuilder::new(exporter)
    }
}

impl RecorderBuilder {
    fn new(exporter: impl Exporter) -> Self {
        Self {
            exporter: HiddenExporter(Box::new(|resource| exporter.prepare(resource))),
            resource: None,
            sampling: Sampling::default(),
            limits: Limits::default(),
            queue: Amount {
                spans: 2048,
                bytes: 16 * MEGABYTE,
            },
            batch: Amount {
                spans: 512,
                bytes: 2 * MEGABYTE,
            },
            delay: Duration::from_secs(5),
            keep: None,
            tap: Tap::default(),
        }
    }

    /// Sets the resource of all spans. Default: what the SDK detects, from `OTEL_SERVICE_NAME` and
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets a sampler that gets the name and the attributes of each span. Default: see
    /// [`sampler_without_attributes`](Self::sampler_without_attributes).
    ///
    /// The attributes are those that are known at the start. They have to be allocated for the sampler.
    /// A [`Sampler::ParentBased`] is asked for spans without a parent only.
    pub fn sampler(mut self, sampler: impl Into<Box<dyn ShouldSample>> + 'static) -> Self {
        self.sampling.sampler = LiveSampler::new(SamplerState::with_attributes(sampler));
        self
    }

    /// Sets a sampler of the SDK, which gets the trace id and the parent only. Default: parent-based, and always on for
    /// spans without a parent.
    ///
    /// Nothing is allocated for the sampler.
    pub fn sampler_without_attributes(mut self, sampler: Sampler) -> Self {
        self.sampling.sampler = LiveSampler::new(SamplerState::without_attributes(sampler));
        self
    }

    /// Sets the generator of trace ids and span ids. Default: the random generator of the SDK.
    pub fn id_generator(mut self, ids: impl IdGenerator + 'static) -> Self {
        self.sampling.ids = Box::new(ids);
        self
    }

    /// Sets the numbers of attributes, events and links a span has at most. Default: those of the SDK, 128 of each.
    ///
    /// Attributes, events and links over a limit are dropped and counted in the span.
    pub fn limits(mut self, limits: SpanLimits) -> Self {
        self.limits.span = limits;
        self
    }

    /// Sets how many characters of an attribute's text are recorded at most. Default: 4096.
    ///
    /// Longer texts are cut, also the elements of arrays. Names and the description of the status are cut to 4096
    /// characters, whatever is set. See
    /// [attribute limits](https://opentelemetry.io/docs/specs/otel/common/#attribute-limits).
    pub fn text_length(mut self, characters: usize) -> Self {
        self.limits.text.length = characters;
        self
    }

    /// Sets how many bytes of attributes, events and links a span has at most. Default: 64 KiB.
    ///
    /// Texts, arrays, events and links count. Those that do not fit are dropped and counted in the span. Numbers of a
    /// `tracing` span always fit.
    pub fn record_bytes(mut self, bytes: usize) -> Self {
        self.limits.text.bytes = bytes;
        self
    }

    /// Sets how many spans wait for their export at most. Default: 2048. Accepted: any number from 1 on.
    ///
    /// The queue grows as needed. A span that does not fit is dropped and counted.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.queue.spans = spans;
        self
    }

    /// Sets how many bytes the spans that wait for their export have at most. Default: 16 MiB. Accepted: any number from 1
    /// on.
    ///
    /// What a span has allocated counts, 2 KiB at least. A span that does not fit is dropped and counted.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets how many spans are exported at once at most. Default: 512. Accepted: any number from 1 on; more than
    /// [`queue_size`](Self::queue_size) has the effect of `queue_size`.
    ///
    /// When so many spans wait, they are exported before the [delay](Self::delay) is over.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.batch.spans = spans;
        self
    }

    /// Sets how many bytes the spans that are exported at once have at most. Default: 2 MiB, because collectors accept 4 MiB.
    /// Accepted: any number from 1 on. A larger span is exported alone.
    ///
    /// When so many bytes wait, they are exported before the [delay](Self::delay) is over.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch.bytes = bytes;
        self
    }

    /// Sets how long a span waits for its export at most. Default: 5 seconds. Less than a millisecond has the effect of a
    /// millisecond, more than a day that of a day.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets rules for traces that are not sampled and are exported nevertheless. Default: none.
    ///
    /// The spans of a trace that is not sampled are recorded and wait in memory until its local root ends. Then they are
    /// exported or discarded, by a decision on the thread that ends the root. They have at most 512 KiB per trace and
    /// 16 MiB in all. An ended span counts what it has allocated, 2 KiB at least. An open span counts 2 KiB, and the bytes of
    /// its texts, events and links over 1 KiB (over 256 bytes for those that are set through its OpenTelemetry context), but
    /// not the spare capacity of its buffers, at most 4 KiB of which stay from an earlier span. Attributes and events that do
    /// not fit are dropped from it, and counted in it. Spans that do not fit are not recorded, and counted in
    /// [`SpanCounts::not_held`](crate::SpanCounts::not_held). The limit of a trace includes the spans that end after a kept
    /// local root. If there is no room, the children of traces that are open for
    /// more than 5 seconds, as those of connections that stay open, are dropped to free memory. Their roots can still be
    /// kept. At most 32,768 such roots are held in addition.
    ///
    /// The rules do not change what is propagated: other processes see a trace that is not sampled.
    ///
    /// # Weights
    ///
    /// A span that is kept has the attribute `sampling.keep.reason`, and the sampled flag of its ids is not set. It stands
    /// for itself only: to estimate the number of all spans, multiply the number of spans without this attribute by the
    /// inverse of the sampling ratio, and do not count those with it.
    pub fn keep(mut self, rules: Keep) -> Self {
        self.keep = Some(rules);
        self
    }

    /// Calls a function with each span before its export, on the export thread, which it must not block. It gets the `Span` of
    /// OTLP in protobuf, and the scope of the span. While `OtlpExporter` waits for the collector, the function gets the spans
    /// that end once in each [delay](Self::delay). An exporter of the SDK blocks the thread.
    #[doc(hidden)]
    pub fn tap(mut self, tap: impl FnMut(&[u8], &InstrumentationScope) + Send + 'static) -> Self {
        self.tap = Tap::new(tap);
        self
    }

    /// Starts the export thread and returns the recorder.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if a size, the bytes of the queue or of a batch, or a limit of
    /// the keep rules are 0 or a setting of the exporter is invalid, and the error of the operating system if it cannot start a thread.
    pub fn build(self) -> io::Result<Recorder> {
        check_size("queue_size", self.queue.spans)?;
        check_size("queue_bytes", self.queue.bytes)?;
        check_size("batch_size", self.batch.spans)?;
        check_size("batch_bytes", self.batch.bytes)?;
        self.keep
            .map_or(Ok(()), |rules| rules.check("no recorder is started"))?;
        let resource = self.resource.unwrap_or_else(|| Resource::builder().build());
        let BoxedExporter(exporter) = (self.exporter.0)(&resource)?;
        let pipeline = Pipeline::new(self.queue, self.batch);
        let shared = Arc::new(Shared::new(
            pipeline,
            self.sampling,
            self.limits,
            Keeper::new(self.keep),
        ));
        worker::spawn(&shared, exporter, self.tap, self.delay)?;
        Ok(Recorder::new(shared))
    }
}

/// An exporter whose text is omitted, because it may contain credentials.
struct HiddenExporter(Box<Prepare>);

type Prepare = dyn FnOnce(&Resource) -> io::Result<BoxedExporter> + Send;

impl fmt::Debug for HiddenExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

fn check_size(option: &str, size: usize) -> io::Result<()> {
    if size > 0 {
        return Ok(());
    }
    let error =
        format!("{option} of the recorder is 0 (expected at least 1); no recorder is started");
    Err(io::Error::new(io::ErrorKind::InvalidInput, error))
}
