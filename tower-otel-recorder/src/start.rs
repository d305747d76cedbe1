//! The start of a span: sampling, a record from the pool, and the span in the context.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanContext, SpanKind, TraceContextExt},
};

use crate::{
    active::ActiveSpan, base_context::BaseContext, clock::Timestamp, context_span::ContextSpan,
    keep::with_unheld_span, record::SpanRecord, tracer::RecorderTracer,
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
#[derive(Debug, Default)]
pub struct StartedSpan {
    /// The context of the span. Attach it while the code inside the span runs. If the recorder is shut down or telemetry is
    /// suppressed in the base context, it is the context of the remote parent, or `None` without a remote parent.
    pub context: Option<Context>,
    /// The span. `None` if it is not recorded.
    pub span: Option<ActiveSpan>,
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
                span: None,
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
                    span: None,
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
        let context = record.context.clone();
        if let Some(link) = links {
            record.change(|extras, limits| {
                extras.link(link.span_context, link.attributes, limits);
            });
        }
        let span = ContextSpan::new(context, Arc::clone(&record.changes));
        StartedSpan {
            context: Some(span.into_context_of(base, trace, inherits_trace)),
            span: Some(ActiveSpan::new(pooled)),
        }
    }
}
