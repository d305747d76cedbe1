//! The recorder as a tracer provider of the OpenTelemetry API.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{
    Context, InstrumentationScope,
    trace::{Link, SpanBuilder, SpanContext, SpanKind, Tracer, TracerProvider},
};

use crate::{
    active::ActiveSpan, api_span::RecorderSpan, base_context::BaseContext, clock::Timestamp, keep,
    record::SpanRecord, sampling::SampledSpan, shared::Shared, tracer::RecorderTracer,
};

/// A [`TracerProvider`] whose spans a [`Recorder`](crate::Recorder) records. Returned by
/// [`Recorder::tracer_provider`](crate::Recorder::tracer_provider).
#[derive(Clone, Debug)]
pub struct RecorderTracerProvider {
    shared: Arc<Shared>,
}

impl RecorderTracerProvider {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl TracerProvider for RecorderTracerProvider {
    type Tracer = RecorderTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> RecorderTracer {
        RecorderTracer::new(Arc::clone(&self.shared), Some(Arc::new(scope)))
    }
}

impl Tracer for RecorderTracer {
    type Span = RecorderSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> RecorderSpan {
        let shared = self.shared();
        if shared.pipeline.is_closed() || parent_cx.is_telemetry_suppressed() {
            return RecorderSpan::new(SpanContext::NONE, None, None, None);
        }
        let kind = builder.span_kind.as_ref().unwrap_or(&SpanKind::Internal);
        let links = builder.links.as_deref().unwrap_or_default();
        let sampled = shared.sampling.sample(kind, parent_cx, None, links, || {
            let attributes = builder.attributes.clone().unwrap_or_default();
            (Cow::Borrowed(&*builder.name), attributes)
        });
        let context = sampled.context.clone();
        let (mut held, mut listed) = (None, None);
        if !context.is_sampled() {
            held = shared.hold(BaseContext::Context(parent_cx), &sampled, None);
            (held, listed) = shared.list(&context, held);
            keep::exclude(parent_cx, &context, held.as_ref());
            if held.is_none() {
                return RecorderSpan::new(context, None, None, None);
            }
        }
        let mut pooled = self.record(held.is_none());
        let trace = pooled.set_held(held);
        fill(&mut pooled.record, builder, sampled);
        let listed = listed.filter(|_| trace.is_some());
        RecorderSpan::new(context, Some(ActiveSpan::new(pooled)), trace, listed)
    }
}

fn fill(record: &mut SpanRecord, span: SpanBuilder, sampled: SampledSpan) {
    record.started = match span.start_time {
        Some(time) => Timestamp::System(time),
        None => Timestamp::Instant(Instant::now()),
    };
    record.kind = span.span_kind.unwrap_or(SpanKind::Internal);
    match span.name {
        Cow::Borrowed(name) => record.set_static_name(name),
        Cow::Owned(name) => record.set_name(&name, None),
    }
    for attribute in span.attributes.unwrap_or_default() {
        record.change(|extras, limits| extras.attribute(attribute, limits));
    }
    record.set_sampled(sampled);
    for event in span.events.unwrap_or_default() {
        record.change(|extras, limits| {
            extras.event(event.name, event.timestamp, event.attributes, limits);
        });
    }
    for link in span.links.unwrap_or_default() {
        let Link {
            span_context,
            attributes,
            ..
        } = link;
        record.change(|extras, limits| extras.link(span_context, attributes, limits));
    }
}
