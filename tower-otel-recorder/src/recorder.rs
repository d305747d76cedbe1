//! The handle of the application.

use std::{io, sync::Arc, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{ShouldSample, SpanData},
};

#[cfg(feature = "layer")]
use crate::layer::RecorderLayer;
use crate::{
    counts::SpanCounts, decision_rule::Children, keep::Keep, provider::RecorderTracerProvider,
    sampler::SamplerState, shared::Shared, tracer::RecorderTracer,
};

/// The timeout of the shutdown when a recorder is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Records spans as compact records and exports them on its own thread.
///
/// Dropping the recorder shuts it down: the drop waits up to five seconds until the ended spans are exported. Later spans are
/// not recorded.
///
/// A child of `fork` has no export thread. Dropping or shutting down the recorder there returns at once. Recording in the child
/// is not supported: a lock may be held forever, and spans are lost without being counted. Start a recorder in each process.
///
/// # Examples
///
/// ```no_run
/// use opentelemetry_sdk::{Resource, trace::SpanExporter};
/// use tower_otel_recorder::Recorder;
///
/// fn serve(exporter: impl SpanExporter + 'static) -> std::io::Result<()> {
///     let recorder = Recorder::builder(exporter)
///         .resource(Resource::builder().with_service_name("shop").build())
///         .build()?;
///     // ... serve with `TraceLayer::server().recorder(&recorder)` and keep `recorder` until then ...
///     drop(recorder);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropping the recorder shuts it down"]
pub struct Recorder {
    shared: ShutdownOnDrop,
}

/// Shuts the recorder down when it is dropped.
#[derive(Debug)]
struct ShutdownOnDrop(Arc<Shared>);

impl Recorder {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared: ShutdownOnDrop(shared),
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared.0
    }

    /// Returns a layer that records the spans of `tracing`.
    ///
    /// The instrumentation scope of the spans is this crate, unless [`RecorderLayer::scope`] sets another. Keep the recorder
    /// alive: dropping it stops recording.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry_sdk::trace::SpanExporter;
    /// use tower_otel_recorder::Recorder;
    /// use tracing_subscriber::prelude::*;
    ///
    /// fn install(exporter: impl SpanExporter + 'static) -> Result<Recorder, Box<dyn std::error::Error>> {
    ///     let recorder = Recorder::builder(exporter).build()?;
    ///     tracing_subscriber::registry().with(recorder.layer()).try_init()?;
    ///     Ok(recorder)
    /// }
    /// ```
    #[cfg(feature = "layer")]
    pub fn layer(&self) -> RecorderLayer {
        RecorderLayer::new(self.shared())
    }

    /// Returns a tracer provider for code that uses the OpenTelemetry API.
    ///
    /// Keep the recorder alive: dropping it stops recording.
    ///
    /// With [keep rules](crate::RecorderBuilder::keep), do not start a span inside the argument of `SpanRef::set_attributes`
    /// if this provider started the span and it is not sampled: the new span would wait forever for the lock of its parent.
    /// Spans that `tracing` or `TraceLayer` started are not affected.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry::trace::{Tracer, TracerProvider};
    /// use opentelemetry_sdk::trace::SpanExporter;
    /// use tower_otel_recorder::Recorder;
    ///
    /// fn install(exporter: impl SpanExporter + 'static) -> std::io::Result<Recorder> {
    ///     let recorder = Recorder::builder(exporter).build()?;
    ///     opentelemetry::global::set_tracer_provider(recorder.tracer_provider());
    ///     opentelemetry::global::tracer("shop").in_span("start", |_context| { /* ... */ });
    ///     Ok(recorder)
    /// }
    /// ```
    pub fn tracer_provider(&self) -> RecorderTracerProvider {
        RecorderTracerProvider::new(Arc::clone(self.shared()))
    }

    /// Exports all spans that have ended and waits for the export. The call blocks the thread.
    ///
    /// # Errors
    ///
    /// Returns [`Timeout`](opentelemetry_sdk::error::OTelSdkError::Timeout) if the export takes longer than `timeout`,
    /// [`InternalFailure`](opentelemetry_sdk::error::OTelSdkError::InternalFailure) if it failed, and
    /// [`AlreadyShutdown`](opentelemetry_sdk::error::OTelSdkError::AlreadyShutdown) if a shutdown was requested.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.shared().pipeline.flush(timeout)
    }

    /// Stops recording, exports all spans that have ended, shuts the exporter down, and waits until this is done. The call
    /// blocks the thread. With `OtlpExporter` this cannot deadlock, because the exporter has its own runtime.
    ///
    /// If several threads call this function at the same time, all of them wait and return the same result. When the last
    /// of them times out, the remaining spans are not exported: waiting spans are counted as [dropped](SpanCounts::dropped),
    /// spans that the exporter has not finished as [failed](SpanCounts::failed).
    ///
    /// # Errors
    ///
    /// Returns [`Timeout`](opentelemetry_sdk::error::OTelSdkError::Timeout) if it takes longer than `timeout`,
    /// [`InternalFailure`](opentelemetry_sdk::error::OTelSdkError::InternalFailure) if the last export or the shutdown of
    /// the exporter failed, and [`AlreadyShutdown`](opentelemetry_sdk::error::OTelSdkError::AlreadyShutdown) if the
    /// recorder was already shut down.
    pub fn shutdown(&self, timeout: Duration) -> OTelSdkResult {
        self.shared().pipeline.shutdown(timeout)
    }

    /// Returns the numbers of started, waiting, exported and lost spans.
    ///
    /// The call briefly locks the buffer of each thread.
    pub fn counts(&self) -> SpanCounts {
        self.shared().pipeline.counts()
    }

    /// Replaces the sampler while the recorder runs. Spans that have started are not sampled again.
    ///
    /// The sampler is used like that of [`RecorderBuilder::sampler`](crate::RecorderBuilder::sampler).
    pub fn set_sampler(&self, sampler: impl Into<Box<dyn ShouldSample>> + 'static) {
        let sampler = SamplerState::with_attributes(sampler);
        self.shared().sampling.sampler.set(sampler);
    }

    /// Replaces the sampler while the recorder runs: samples a ratio of all traces, 0.0 to 1.0, by their trace ids.
    ///
    /// Spans with a parent in this process are sampled like the parent. Spans with a parent in another process are sampled
    /// like the parent if `parent_based` is set, and otherwise by their trace id. No other sampler costs less.
    #[doc(hidden)]
    pub fn set_ratio(&self, ratio: f64, parent_based: bool) {
        let children = match parent_based {
            true => Children::FollowParent,
            false => Children::FollowLocal,
        };
        let sampler = SamplerState::ratio(ratio, children);
        self.shared().sampling.sampler.set(sampler);
    }

    /// Replaces the [keep rules](crate::RecorderBuilder::keep) while the recorder runs; `None` removes them. The rules that are
    /// set when a local root ends decide about its trace. The spans of traces that started without rules are not held.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if a limit of the rules is 0. The rules are then unchanged.
    pub fn set_keep(&self, rules: Option<Keep>) -> io::Result<()> {
        rules.map_or(Ok(()), |rules| rules.check("the rules stay as they are"))?;
        self.shared().keeper.rules().set(rules);
        Ok(())
    }

    /// Returns the reason why the last batch was not accepted completely, and the local roots of the 32 traces that were kept
    /// last. The roots have only the attribute with the reason.
    #[doc(hidden)]
    pub fn export_report(&self) -> (Option<String>, Vec<SpanData>) {
        let report = &self.shared().report;
        (report.failure(), report.kept_roots())
    }

    /// Returns a handle that starts spans of this instrumentation scope. A reused record does not change the reference count of
    /// the scope if its previous span has the same `Arc`.
    #[doc(hidden)]
    pub fn tracer_with_scope(&self, scope: Arc<InstrumentationScope>) -> RecorderTracer {
        RecorderTracer::new(Arc::clone(self.shared()), Some(scope))
    }
}

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        let pipeline = &self.0.pipeline;
        if !pipeline.shutdown_is_requested() {
            // A drop cannot return the result. The export thread logs failures of the exporter.
            let _ = pipeline.shutdown(DROP_TIMEOUT);
        }
    }
}
