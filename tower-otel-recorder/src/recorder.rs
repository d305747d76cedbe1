//! The handle that an application keeps.

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

/// How long dropping a recorder waits for the export.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Records spans as compact records and exports them on a thread of its own.
///
/// Dropping the recorder shuts it down: it waits up to five seconds until the spans that have ended are exported. Spans
/// that start later are not recorded.
///
/// A child of `fork` has no export thread. Dropping or shutting down the recorder there returns at once. Recording in it is not
/// supported: a lock may be held forever, and what is recorded is lost and not counted. Start a recorder in each process.
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
    /// The scope of the spans has the name of this crate. Keep the recorder as long as spans are to be recorded.
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
    /// Keep the recorder as long as spans are to be recorded.
    ///
    /// With [keep rules](crate::RecorderBuilder::keep), a span that starts takes the lock of its parent in the context if
    /// the parent is not sampled and was started by this provider. `SpanRef::set_attributes` of that parent has this lock
    /// while it reads its argument: start no span there, it would wait forever. Parents that `tracing` or `TraceLayer` has
    /// started are not concerned.
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

    /// Exports the spans that have ended and waits for the export.
    ///
    /// # Errors
    ///
    /// Returns [`Timeout`](opentelemetry_sdk::error::OTelSdkError::Timeout) if the export takes longer than `timeout`,
    /// [`InternalFailure`](opentelemetry_sdk::error::OTelSdkError::InternalFailure) if it failed, and
    /// [`AlreadyShutdown`](opentelemetry_sdk::error::OTelSdkError::AlreadyShutdown) if a shutdown was requested.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.shared().pipeline.flush(timeout)
    }

    /// Stops recording, exports the spans that have ended, shuts the exporter down, and waits for all of it.
    ///
    /// If several threads call this function at the same time, all of them wait and return the same result. If the last
    /// of them runs out of time, the spans that are left are not exported any more: those that wait are counted as
    /// [dropped](SpanCounts::dropped), those that the exporter has not finished as [failed](SpanCounts::failed).
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

    /// Returns the numbers of spans that were started, wait, were exported and were lost.
    ///
    /// Reading them locks the buffer of each thread for a moment.
    pub fn counts(&self) -> SpanCounts {
        self.shared().pipeline.counts()
    }

    /// Replaces the sampler while the recorder runs. A span is sampled by the old one or by the new one.
    ///
    /// The sampler is used as by [`RecorderBuilder::sampler`](crate::RecorderBuilder::sampler). Spans that have started are
    /// not sampled again.
    pub fn set_sampler(&self, sampler: impl Into<Box<dyn ShouldSample>> + 'static) {
        let sampler = SamplerState::with_attributes(sampler);
        self.shared().sampling.sampler.set(sampler);
    }

    /// Replaces the sampler while the recorder runs, by a ratio of the traces from 0.0 to 1.0, by their trace ids.
    ///
    /// Spans are sampled as their parent in this process. A parent in another process is followed if `parent_based`.
    /// Otherwise its trace is sampled by its id, whatever the other process has decided. No sampler costs less.
    #[doc(hidden)]
    pub fn set_ratio(&self, ratio: f64, parent_based: bool) {
        let children = match parent_based {
            true => Children::FollowParent,
            false => Children::FollowLocal,
        };
        let sampler = SamplerState::ratio(ratio, children);
        self.shared().sampling.sampler.set(sampler);
    }

    /// Replaces the [keep rules](crate::RecorderBuilder::keep) while the recorder runs. A local root that has started is
    /// judged at its end by the rules of that time. The spans of traces that have started without rules are not held.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if a limit of the rules is 0. The rules stay as they are.
    pub fn set_keep(&self, rules: Option<Keep>) -> io::Result<()> {
        rules.map_or(Ok(()), |rules| rules.check("the rules stay as they are"))?;
        self.shared().keeper.rules().set(rules);
        Ok(())
    }

    /// Returns why the last batch was not accepted as a whole, and the local roots of the 32 traces that were kept last,
    /// without attributes but the reason.
    #[doc(hidden)]
    pub fn export_report(&self) -> (Option<String>, Vec<SpanData>) {
        let report = &self.shared().report;
        (report.failure(), report.kept_roots())
    }

    /// Returns a handle that starts spans of this instrumentation scope. Handles with the same `Arc` share their
    /// records without touching its reference count.
    #[doc(hidden)]
    pub fn tracer_with_scope(&self, scope: Arc<InstrumentationScope>) -> RecorderTracer {
        RecorderTracer::new(Arc::clone(self.shared()), Some(scope))
    }
}

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        let pipeline = &self.0.pipeline;
        if !pipeline.shutdown_is_requested() {
            // There is nobody to return the result to. The export thread has logged a failure of the exporter.
            let _ = pipeline.shutdown(DROP_TIMEOUT);
        }
    }
}
