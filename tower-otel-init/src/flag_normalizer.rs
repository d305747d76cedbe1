//! Propagators that others wrote, among ours.

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags};

/// The propagators of B3 and X-Ray keep "not decided" in the flag that means "random" in W3C Trace
/// Context, and B3's "debug" beside "sampled" and not with it. Here flags mean what they mean
/// there, so that formats can stand side by side.
#[derive(Debug)]
pub(crate) struct Foreign<P>(pub(crate) P);

const DEBUG: TraceFlags = TraceFlags::new(0x04);

impl<P: TextMapPropagator> TextMapPropagator for Foreign<P> {
    /// Where there is no span, nobody is told not to record.
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span().span_context().clone();
        if span.is_valid() {
            let flags = span.trace_flags() & (TraceFlags::SAMPLED | DEBUG);
            let cx = cx.with_remote_span_context(with_flags(&span, flags));
            let fields: Vec<_> = self.0.fields().collect();
            let mut only = Only {
                fields: &fields,
                to: injector,
            };
            self.0.inject_context(&cx, &mut only);
        }
    }

    /// What is no whole span stands in nobody's way.
    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let none = SpanContext::empty_context();
        let apart = cx.with_remote_span_context(none);
        let found = self.0.extract_with_context(&apart, extractor);
        let span = found.span().span_context().clone();
        if !span.is_valid() {
            return cx.clone();
        }
        let debug = span.trace_flags() & DEBUG;
        let sampled = span.is_sampled() || debug == DEBUG;
        let flags = debug.with_sampled(sampled);
        found.with_remote_span_context(with_flags(&span, flags))
    }

    fn fields(&self) -> FieldIter<'_> {
        self.0.fields()
    }
}

/// Takes what a propagator says it writes: that of B3 writes its several headers beside the one.
struct Only<'a> {
    fields: &'a [&'a str],
    to: &'a mut dyn Injector,
}

impl Injector for Only<'_> {
    fn set(&mut self, key: &str, value: String) {
        if self.fields.contains(&key) {
            self.to.set(key, value);
        }
    }
}

fn with_flags(span: &SpanContext, flags: TraceFlags) -> SpanContext {
    let state = span.trace_state().clone();
    SpanContext::new(span.trace_id(), span.span_id(), flags, true, state)
}
