//! Adapts third-party propagators to the W3C meaning of trace flags.

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags};

/// A propagator of B3 or X-Ray that can be combined with W3C Trace Context.
///
/// These propagators use the flag 0x02, "random" in W3C Trace Context, for "sampling deferred". This wrapper clears it. For
/// "debug" (0x04), which B3 sets without "sampled", this wrapper adds "sampled".
#[derive(Debug)]
pub(crate) struct FlagNormalizer<P>(pub(crate) P);

const DEBUG: TraceFlags = TraceFlags::new(0x04);

impl<P: TextMapPropagator> TextMapPropagator for FlagNormalizer<P> {
    /// Writes nothing without a valid span context. B3 alone would write "not sampled".
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span().span_context().clone();
        if span.is_valid() {
            let flags = span.trace_flags() & (TraceFlags::SAMPLED | DEBUG);
            let cx = cx.with_remote_span_context(with_flags(&span, flags));
            let fields: Vec<_> = self.0.fields().collect();
            let mut injector = DeclaredFields {
                fields: &fields,
                inner: injector,
            };
            self.0.inject_context(&cx, &mut injector);
        }
    }

    /// Returns `cx` unchanged if the headers do not contain a complete span context.
    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let without_span = cx.with_remote_span_context(SpanContext::empty_context());
        let extracted = self.0.extract_with_context(&without_span, extractor);
        let span = extracted.span().span_context().clone();
        if !span.is_valid() {
            return cx.clone();
        }
        let debug = span.trace_flags() & DEBUG;
        let sampled = span.is_sampled() || debug == DEBUG;
        let flags = debug.with_sampled(sampled);
        extracted.with_remote_span_context(with_flags(&span, flags))
    }

    fn fields(&self) -> FieldIter<'_> {
        self.0.fields()
    }
}

/// An injector that ignores undeclared headers. The B3 propagator writes its multiple headers in addition to
/// the single header.
struct DeclaredFields<'a> {
    fields: &'a [&'a str],
    inner: &'a mut dyn Injector,
}

impl Injector for DeclaredFields<'_> {
    fn set(&mut self, key: &str, value: String) {
        if self.fields.contains(&key) {
            self.inner.set(key, value);
        }
    }
}

fn with_flags(span: &SpanContext, flags: TraceFlags) -> SpanContext {
    let state = span.trace_state().clone();
    SpanContext::new(span.trace_id(), span.span_id(), flags, true, state)
}
