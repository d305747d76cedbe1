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

/// Configures a [`Recorder`]. Returned by [`Recorder::builder`].
///
/// See [limits](crate#limits) for the defaults of all limits.
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
    /// The exporter runs on the export thread, outside any async runtime, as with the SDK's batch processor. `OtlpExporter` has
    /// its own runtime.
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

    /// Sets the resource of all spans. Default: the resource that the SDK detects, with `OTEL_SERVICE_NAME` and
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets a sampler that receives the name and the attributes of each span. It replaces
    /// [`sampler_without_attributes`](Self::sampler_without_attributes), which has the default.
    ///
    /// The attributes are those known at the start of the span. They are allocated for the sampler.
    /// A [`Sampler::ParentBased`] is called only for spans without a parent.
    pub fn sampler(mut self, sampler: impl Into<Box<dyn ShouldSample>> + 'static) -> Self {
        self.sampling.sampler = LiveSampler::new(SamplerState::with_attributes(sampler));
        self
    }

    /// Sets a sampler of the SDK that receives only the trace id and the parent. It replaces [`sampler`](Self::sampler).
    /// Default: parent-based, and always on for spans without a parent.
    ///
    /// Nothing is allocated for the sampler.
    ///
    /// See [sampling](https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling).
    pub fn sampler_without_attributes(mut self, sampler: Sampler) -> Self {
        self.sampling.sampler = LiveSampler::new(SamplerState::without_attributes(sampler));
        self
    }

    /// Sets the generator of trace ids and span ids. Default: the random generator of the SDK.
    pub fn id_generator(mut self, ids: impl IdGenerator + 'static) -> Self {
        self.sampling.ids = Box::new(ids);
        self
    }

    /// Sets the maximum numbers of attributes, events and links of a span, and of attributes of an event and of a link.
    /// Default: those of the SDK, 128 of each.
    ///
    /// Attributes, events and links over a limit are dropped and counted in the span. See
    /// [span limits](https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-limits).
    pub fn limits(mut self, limits: SpanLimits) -> Self {
        self.limits.span = limits;
        self
    }

    /// Sets the maximum length of an attribute's text, in characters. Default: 4096.
    ///
    /// Longer texts and longer elements of arrays are cut. Names and the description of the status are always cut to 4096
    /// characters. See
    /// [attribute limits](https://opentelemetry.io/docs/specs/otel/common/#attribute-limits).
    pub fn text_length(mut self, characters: usize) -> Self {
        self.limits.text.length = characters;
        self
    }

    /// Sets the maximum size of a span's attributes, events and links, in bytes. Default: 64 KiB.
    ///
    /// Texts, arrays, events and links count. Those that do not fit are dropped and counted in the span. Numeric fields of a
    /// `tracing` span always fit.
    pub fn record_bytes(mut self, bytes: usize) -> Self {
        self.limits.text.bytes = bytes;
        self
    }

    /// Sets the maximum number of spans that wait for export. Default: 2048. Minimum: 1.
    ///
    /// The queue grows as needed. A span that does not fit is dropped and counted in
    /// [`queue_full`](crate::SpanCounts::queue_full).
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.queue.spans = spans;
        self
    }

    /// Sets the maximum size of all spans that wait for export, in bytes. Default: 16 MiB. Minimum: 1.
    ///
    /// A span counts with its allocated bytes: about 1.4 KiB, and more with many attributes, long texts, events or links. A
    /// span that does not fit is dropped and counted in [`queue_bytes_full`](crate::SpanCounts::queue_bytes_full).
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets the maximum number of spans per export. Default: 512. Minimum: 1. A number above
    /// [`queue_size`](Self::queue_size) has the effect of `queue_size`.
    ///
    /// When this number of spans waits, they are exported before the [delay](Self::delay) ends.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.batch.spans = spans;
        self
    }

    /// Sets the maximum size of the spans of one export, in bytes. Default: 2 MiB. Minimum: 1. A larger span is exported
    /// alone.
    ///
    /// A span has the same size as in the [queue](Self::queue_bytes). Collectors accept requests of at most 4 MiB by default.
    /// When this number of bytes waits, they are exported before the [delay](Self::delay) ends.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch.bytes = bytes;
        self
    }

    /// Sets the maximum time that an ended span waits for its export. Default: 5 seconds. A delay below one
    /// millisecond has the effect of one millisecond; a delay above one day has the effect of one day.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets rules for traces that are exported although they are not sampled. Default: none.
    ///
    /// The spans of an unsampled trace are recorded and wait in memory until its local root ends: the span without a parent in
    /// this process. The thread that ends the root then decides whether they are exported or discarded. The rules do not change
    /// what is propagated: other processes receive a `traceparent` without the sampled flag. See [`Keep`] for an example.
    ///
    /// # Memory
    ///
    /// The spans of a trace use at most 512 KiB, including spans that end after a kept local root. The spans of all traces
    /// use at most 16 MiB. A span that does not fit is not recorded, and is counted in
    /// [`SpanCounts::not_held`](crate::SpanCounts::not_held).
    ///
    /// An ended span counts with its allocated bytes, at least 2 KiB. An open span counts with 2 KiB, plus the bytes of its
    /// texts, events and links over 1 KiB (over 256 bytes for those set through its OpenTelemetry context). The spare
    /// capacity of its buffers does not count; a reused buffer has at most 4 KiB of it. Attributes and events that do not
    /// fit are dropped and counted in the span.
    ///
    /// If all traces together reach their limit, the children of traces that are open for more than 5 seconds, such as
    /// those of long connections, are dropped to free memory. Their roots can still be kept. Up to 32,768 such roots are
    /// held in addition to the limit.
    ///
    /// # Weights
    ///
    /// A kept span has the attribute `sampling.keep.reason` and no sampled flag. To estimate the number of all spans, divide
    /// the number of spans without this attribute by the sampling ratio. Do not count the spans that have the attribute: the
    /// sampled spans already represent them.
    pub fn keep(mut self, rules: Keep) -> Self {
        self.keep = Some(rules);
        self
    }

    /// Sets a function that is called with each span before its export, on the export thread. It receives the OTLP `Span` in
    /// protobuf, and the scope of the span. It must not block. While `OtlpExporter` waits for the collector, the function
    /// receives the spans that have ended once in each [delay](Self::delay). An exporter of the SDK blocks the thread.
    #[doc(hidden)]
    pub fn tap(mut self, tap: impl FnMut(&[u8], &InstrumentationScope) + Send + 'static) -> Self {
        self.tap = Tap::new(tap);
        self
    }

    /// Starts the export thread and returns the recorder.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if a size of the queue or of a batch or a limit of the keep
    /// rules is 0, or if an option of the exporter is invalid. Returns the error of the operating system if it cannot start
    /// a thread.
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

/// An exporter whose `Debug` text is omitted, because it may contain credentials.
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
