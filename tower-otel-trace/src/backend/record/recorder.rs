//! What an application holds: the queue, the thread behind it, and what became of the spans.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{IdGenerator, Sampler, ShouldSample, SpanExporter, SpanLimits},
};

use super::{
    Shared,
    queue::Queue,
    sampling::{Judge, Sampling},
    thread,
};

/// How long a recorder that is dropped waits for what is still to be exported.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest queue that is accepted: half a gigabyte.
const MOST: usize = 1 << 20;

/// Takes a compact record of each exchange, and exports spans from a thread of its own.
///
/// ```no_run
/// use opentelemetry_sdk::{Resource, trace::SpanExporter};
/// use tower_otel_trace::{Recorder, TraceLayer};
///
/// fn serve(exporter: impl SpanExporter + 'static) -> std::io::Result<()> {
///     let recorder = Recorder::builder(exporter)
///         .resource(Resource::builder().with_service_name("shop").build())
///         .build()?;
///     let layer = TraceLayer::server().recorder(&recorder);
///     // ... serve with the layer, and keep the recorder until that is over.
/// #   let _ = layer;
///     Ok(())
/// }
/// ```
///
/// Spans are exported while it is held. When it is dropped, those that have ended are exported
/// within five seconds, and nothing is recorded any more.
#[derive(Debug)]
#[must_use = "spans are exported only as long as the recorder is held"]
pub struct Recorder {
    pub(super) shared: Arc<Shared>,
}

/// What became of the spans of a [`Recorder`]. One that has ended is counted once; the rest waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Taken by the exporter.
    pub exported: u64,
    /// Given to the exporter, which failed or panicked.
    pub failed: u64,
    /// Never given to the exporter: the queue was full, or closed.
    pub dropped: u64,
}

impl Recorder {
    /// A recorder for any exporter of opentelemetry_sdk.
    ///
    /// The exporter runs on a thread that is no runtime's, as the SDK's own batch processor would
    /// run it.
    pub fn builder<E: SpanExporter + 'static>(exporter: E) -> RecorderBuilder<E> {
        RecorderBuilder {
            exporter,
            resource: None,
            sampling: Sampling::default(),
            limits: SpanLimits::default(),
            queue_size: 2048,
            batch_size: 512,
            delay: Duration::from_secs(5),
        }
    }

    /// Exports what has ended by now.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`, if an export failed, if the recorder has been shut down.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.shared.queue.flush(timeout)
    }

    /// Exports what has ended by now, and shuts the exporter down. Nothing is recorded any more.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`, if an export or the shutdown of the exporter failed, if
    /// the recorder has been shut down before.
    pub fn shutdown(&self, timeout: Duration) -> OTelSdkResult {
        self.shared.queue.shutdown(timeout)
    }

    /// What became of the spans that have ended.
    pub fn tally(&self) -> Tally {
        let counts = &self.shared.queue.counts;
        Tally {
            exported: counts.exported.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            dropped: counts.dropped.load(Relaxed) + self.shared.queue.abandoned(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.shared.queue.shutdown(PATIENCE);
    }
}

/// What a [`Recorder`] is made of.
#[derive(Debug)]
#[must_use]
pub struct RecorderBuilder<E> {
    exporter: E,
    resource: Option<Resource>,
    sampling: Sampling,
    limits: SpanLimits,
    queue_size: usize,
    batch_size: usize,
    delay: Duration,
}

impl<E: SpanExporter + 'static> RecorderBuilder<E> {
    /// Whose spans they are. By default what the SDK finds out by itself: `OTEL_SERVICE_NAME`,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Which requests have a span. It is shown what the conventions want samplers to be shown: the
    /// name and the attributes that are known at the start, which have to be made for it.
    ///
    /// By default all have one, but for those whose caller's is not sampled.
    pub fn sampler(mut self, sampler: impl Into<Box<dyn ShouldSample>>) -> Self {
        self.sampling.judge = Judge::Shown(sampler.into());
        self
    }

    /// The same, by a sampler of the SDK, which looks at the trace and its parent alone: neither a
    /// name nor attributes are made for it.
    pub fn sampler_by_trace(mut self, sampler: Sampler) -> Self {
        self.sampling.judge = Judge::ByTrace(sampler);
        self
    }

    /// Who makes up ids. The SDK's random generator, by default.
    pub fn id_generator(mut self, ids: impl IdGenerator + 'static) -> Self {
        self.sampling.ids = Box::new(ids);
        self
    }

    /// How many attributes, events and links a span has at most. Those of the SDK, by default.
    pub fn limits(mut self, limits: SpanLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How many spans wait for the exporter at most, 2048 by default; from 1 to 1048576. Each takes
    /// about half a kilobyte, which is kept for the next ones.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.queue_size = spans;
        self
    }

    /// How many spans are exported at once at most, 512 by default; at least 1, and never more than
    /// have room in the queue. When so many wait, they are exported before their time.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.batch_size = spans;
        self
    }

    /// How long a span waits at most, 5 seconds by default; at least a millisecond, at most a day.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the size of the queue or of a batch is none of those that are accepted
    /// ([`InvalidInput`](io::ErrorKind::InvalidInput)), or if the system has no thread to give.
    pub fn build(mut self) -> io::Result<Recorder> {
        accept("queue_size", self.queue_size, MOST)?;
        accept("batch_size", self.batch_size, usize::MAX)?;
        let resource = self.resource.unwrap_or_else(|| Resource::builder().build());
        self.exporter.set_resource(&resource);
        let queue = Arc::new(Queue::new(self.queue_size, self.batch_size, self.limits));
        thread::start(&queue, self.exporter, self.delay)?;
        Ok(Recorder {
            shared: Arc::new(Shared {
                queue,
                sampling: self.sampling,
            }),
        })
    }
}

fn accept(option: &str, value: usize, most: usize) -> io::Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    let error = if value == 0 {
        format!("{option} of the recorder is 0: it has to be at least 1")
    } else {
        format!("{option} of the recorder is {value}: it has to be at most {most}")
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, error))
}
