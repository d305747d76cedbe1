//! The start of a span: sampling, a record from the pool, and the span in the context.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{
    Context, KeyValue, SpanId,
    trace::{Link, SpanContext, SpanKind, TraceContextExt},
};

use crate::{
    active::ActiveSpan, base_context::BaseContext, clock::Timestamp, context_span::ContextSpan,
    keep::with_unheld_span, record::SpanRecord, shared::SpanTrace, tracer::RecorderTracer,
};

/// The properties of a span that starts, without its name and attributes.
#[derive(Debug)]
pub struct SpanStart<'a> {
    /// The kind of the span.
    pub kind: SpanKind,
    /// The base of the span's context. The span in it is the parent, unless `remote` is set.
    pub base: &'a Context,
    /// The parent in another process. Replaces the span of `base` as the parent.
    pub remote: Option<&'a SpanContext>,
    /// The target of a link.
    pub link: Option<&'a SpanContext>,
    /// The start time.
    pub at: Instant,
}

/// The result of starting a span.
#[derive(Debug)]
pub struct StartedSpan {
    /// The context of the span. Attach it while the code inside the span runs. If the recorder is shut down or telemetry is
    /// suppressed in the base context, it is the context of the remote parent, or `None` without a remote parent.
    pub context: Option<Context>,
    /// The span, if it is recorded.
    pub span: ActiveSpan,
}

impl RecorderTracer {
    /// Starts a span.
    ///
    /// `sampler_input` returns the name and the attributes for the sampler. It is called only for
    /// [samplers that need them](crate::RecorderBuilder::sampler). `write` writes name and attributes. It is called only
    /// if the span is recorded.
    #[doc(hidden)]
    #[inline]
    pub fn start_record<'n>(
        &self,
        start: SpanStart<'_>,
        sampler_input: impl FnOnce() -> (Cow<'n, str>, Vec<KeyValue>),
        write: impl FnOnce(&mut SpanRecord),
    ) -> StartedSpan {
        // The same as `start_any`, for a frequent kind of parent.
        if let Some(ids) = self.sampled_child(&start) {
            let (context, span) = self.start_child(start, ids, write);
            return StartedSpan {
                context: Some(context),
                span,
            };
        }
        self.start_any(start, sampler_input, write)
    }

    /// Returns the ids of a span that starts, if it is a sampled child of a remote span without a trace state.
    #[inline(always)]
    pub(crate) fn sampled_child(&self, start: &SpanStart<'_>) -> Option<SpanContext> {
        let shared = self.shared();
        let remote = start.remote.filter(|_| start.link.is_none())?;
        if shared.pipeline.is_closed() || start.base.is_telemetry_suppressed() {
            return None;
        }
        shared.sampling.sampled_child_of_remote(remote)
    }

    /// Starts a [child](Self::sampled_child) of a remote span, and returns its context.
    #[inline(always)]
    pub(crate) fn start_child(
        &self,
        start: SpanStart<'_>,
        ids: SpanContext,
        write: impl FnOnce(&mut SpanRecord),
    ) -> (Context, ActiveSpan) {
        let mut pooled = self.record(true);
        let record = &mut pooled.record;
        record.kind = start.kind;
        record.started = Timestamp::Instant(start.at);
        self.write(true, || write(record));
        record.start_attributes = record.attributes.len();
        record.parent = start.remote.map_or(SpanId::INVALID, SpanContext::span_id);
        record.parent_is_remote = true;
        record.context = ids;
        let context = context_without_state(record, start.base);
        (context, ActiveSpan::new(pooled))
    }

    /// Starts a span with any parent and any sampler.
    #[inline(never)]
    pub(crate) fn start_any<'n>(
        &self,
        start: SpanStart<'_>,
        sampler_input: impl FnOnce() -> (Cow<'n, str>, Vec<KeyValue>),
        write: impl FnOnce(&mut SpanRecord),
    ) -> StartedSpan {
        let shared = self.shared();
        let SpanStart {
            kind,
            base,
            remote,
            link,
            at,
        } = start;
        if shared.pipeline.is_closed() || base.is_telemetry_suppressed() {
            return StartedSpan {
                context: remote.map(|remote| base.with_remote_span_context(remote.clone())),
                span: ActiveSpan::default(),
            };
        }
        let links = link.cloned().map(Link::with_context);
        let sampled = shared
            .sampling
            .sample(&kind, base, remote, links.as_slice(), sampler_input);
        let mut held = None;
        if !sampled.context.is_sampled() {
            held = shared.hold(BaseContext::Context(base), &sampled, Some(at));
            if held.is_none() {
                return StartedSpan {
                    context: Some(with_unheld_span(base, sampled.context)),
                    span: ActiveSpan::default(),
                };
            }
        }
        let is_sampled = held.is_none();
        let mut pooled = self.record(is_sampled);
        let trace = pooled.set_held(held);
        let inherits_trace = pooled.inherits_trace();
        let record = &mut pooled.record;
        record.kind = kind;
        record.started = Timestamp::Instant(at);
        self.write(is_sampled, || write(record));
        record.start_attributes = record.attributes.len();
        record.set_sampled(sampled);
        if let Some(link) = links {
            record.change(|extras, limits| {
                extras.link(link.span_context, link.attributes, limits);
            });
        }
        StartedSpan {
            context: Some(context_of(record, trace, (base, inherits_trace))),
            span: ActiveSpan::new(pooled),
        }
    }
}

/// Returns a context with the span of a record, so that handlers can change it.
#[inline(never)]
fn context_of(
    record: &SpanRecord,
    trace: SpanTrace,
    (base, inherits_trace): (&Context, bool),
) -> Context {
    let span = ContextSpan::new(record.context.clone(), Arc::clone(&record.changes));
    span.into_context_of(base, trace, inherits_trace)
}

/// Returns a context like [`context_of`], for a span that is sampled and has no trace state.
#[inline(never)]
fn context_without_state(record: &SpanRecord, base: &Context) -> Context {
    ContextSpan::without_state(&record.context, &record.changes).into_context(base)
}
