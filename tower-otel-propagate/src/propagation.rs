//! The propagation format of a layer.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::{
    Context, global,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use tower_otel_core::RequestInfo;

use crate::{
    baggage::extract_baggage,
    extract::{ExtractedContext, RemoteSpan},
    header_carrier::{HeaderExtractor, HeaderInjector},
    inject::inject,
    located_headers::LocatedHeaders,
    overflow_tracestate::has_overflow,
    w3c::traceparent::{self, TraceParent},
};

/// The format of the propagation headers that a layer reads or writes. Default: [`w3c`](Self::w3c), without
/// baggage.
///
/// Any `TextMapPropagator` converts into it, such as those of the crates for B3, Jaeger and X-Ray, or a
/// `TextMapCompositePropagator` of several.
///
/// ```
/// use opentelemetry_sdk::propagation::TraceContextPropagator;
/// use tower_otel_propagate::{Propagation, PropagateLayer};
///
/// let custom = PropagateLayer::new().propagator(TraceContextPropagator::new());
/// let global = PropagateLayer::new().propagator(Propagation::global());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Propagation {
    format: Format,
    read_baggage: bool,
}

#[derive(Clone, Debug, Default)]
enum Format {
    #[default]
    W3c,
    Global,
    Custom(Arc<dyn TextMapPropagator + Send + Sync>),
}

impl Propagation {
    /// Uses W3C Trace Context, level 2, with the codec of this crate. This is the default.
    pub const fn w3c() -> Self {
        Self::new(Format::W3c)
    }

    /// Uses the propagator that is global at the time of each request
    /// (`opentelemetry::global::set_text_map_propagator`). Nothing is propagated until one is set.
    pub const fn global() -> Self {
        Self::new(Format::Global)
    }

    const fn new(format: Format) -> Self {
        Self {
            format,
            read_baggage: false,
        }
    }

    /// Also reads the `baggage` header, with [`extract_baggage`]. Default: baggage is not read, because any
    /// client can send it and all code of the process can use it.
    #[must_use]
    pub const fn read_baggage(mut self) -> Self {
        self.read_baggage = true;
        self
    }

    /// Returns whether the format is W3C Trace Context with the codec of this crate.
    pub(crate) const fn is_w3c(&self) -> bool {
        matches!(self.format, Format::W3c)
    }

    /// Returns the span in `traceparent`, for a parent context. Returns `None` if [`extract`](Self::extract) may read another
    /// header, or may return more than this span.
    #[doc(hidden)]
    #[inline(always)]
    pub fn extract_traceparent(
        &self,
        request: &RequestInfo<'_>,
        parent: &Context,
    ) -> Option<Option<TraceParent>> {
        let headers = LocatedHeaders::of(request);
        let is_complete = self.is_w3c()
            && !self.read_baggage
            && !headers.may_have_tracestate
            && !has_overflow(parent);
        is_complete.then(|| traceparent::parse(headers.traceparent?.as_bytes()))
    }

    /// Writes the context into the headers.
    pub(crate) fn inject(&self, cx: &Context, headers: &mut HeaderMap) {
        match &self.format {
            Format::W3c => inject(cx, headers),
            Format::Global => global::get_text_map_propagator(|propagator| {
                propagator.inject_context(cx, &mut HeaderInjector(headers));
            }),
            Format::Custom(propagator) => {
                propagator.inject_context(cx, &mut HeaderInjector(headers));
            }
        }
    }

    /// Returns what the headers add to `parent`, or `None` if they add nothing. Propagators other than W3C do not
    /// report whether they add anything, so for them a context is always returned.
    #[doc(hidden)]
    #[inline]
    pub fn extract(&self, request: &RequestInfo<'_>, parent: &Context) -> Option<ExtractedContext> {
        self.extract_from(&LocatedHeaders::of(request), parent)
    }

    #[inline]
    fn extract_from(
        &self,
        headers: &LocatedHeaders<'_>,
        parent: &Context,
    ) -> Option<ExtractedContext> {
        if matches!(self.format, Format::W3c) && !self.read_baggage {
            let remote = RemoteSpan::extract(headers)?;
            return Some(remote.into_extracted(parent));
        }
        self.extract_any(headers, parent)
    }

    fn extract_any(
        &self,
        headers: &LocatedHeaders<'_>,
        parent: &Context,
    ) -> Option<ExtractedContext> {
        let extractor = HeaderExtractor(headers.headers);
        let extracted = match &self.format {
            Format::W3c => RemoteSpan::extract(headers).map(|remote| remote.into_extracted(parent)),
            Format::Global => Some(ExtractedContext::Full(global::get_text_map_propagator(
                |propagator| propagator.extract_with_context(parent, &extractor),
            ))),
            Format::Custom(propagator) => Some(ExtractedContext::Full(
                propagator.extract_with_context(parent, &extractor),
            )),
        };
        if self.read_baggage && headers.has_baggage() {
            let context = extracted.map(|extracted| extracted.into_context(parent));
            let parent = context.as_ref().unwrap_or(parent);
            let context = extract_baggage(headers.headers, parent);
            return Some(ExtractedContext::Full(context));
        }
        extracted
    }

    /// Returns the caller's span, for a [link](opentelemetry::trace::Link).
    #[doc(hidden)]
    pub fn extract_span_context(&self, request: &RequestInfo<'_>) -> Option<SpanContext> {
        self.extract_span_context_from(&LocatedHeaders::of(request))
    }

    fn extract_span_context_from(&self, headers: &LocatedHeaders<'_>) -> Option<SpanContext> {
        if matches!(self.format, Format::W3c) {
            return Some(RemoteSpan::extract(headers)?.span);
        }
        let none = Context::new();
        let context = self.extract_from(headers, &none)?.into_context(&none);
        let span = context.span().span_context().clone();
        Some(span).filter(SpanContext::is_valid)
    }
}

impl<P: TextMapPropagator + Send + Sync + 'static> From<P> for Propagation {
    fn from(propagator: P) -> Self {
        Self::new(Format::Custom(Arc::new(propagator)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use opentelemetry::{
        baggage::BaggageExt,
        propagation::{Extractor, Injector, text_map_propagator::FieldIter},
        trace::{TraceFlags, TraceState},
    };

    use super::*;

    /// The single-header format of B3, without its optional parts.
    #[derive(Debug)]
    struct B3;

    impl TextMapPropagator for B3 {
        fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
            let span = cx.span().span_context().clone();
            let value = format!("{}-{}-1", span.trace_id(), span.span_id());
            injector.set("B3", value);
            injector.set("not a header", "value".into());
            injector.set("not-a-value", "a\nb".into());
        }

        fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
            let parsed = extractor.get("b3").and_then(|value| {
                let mut parts = value.split('-');
                let trace = u128::from_str_radix(parts.next()?, 16).ok()?;
                let span = u64::from_str_radix(parts.next()?, 16).ok()?;
                Some((trace, span))
            });
            let Some((trace, span)) = parsed else {
                return cx.clone();
            };
            cx.with_remote_span_context(SpanContext::new(
                trace.into(),
                span.into(),
                TraceFlags::SAMPLED,
                true,
                TraceState::NONE,
            ))
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&[])
        }
    }

    fn extract(with: &Propagation, headers: &HeaderMap, parent: &Context) -> Option<Context> {
        let extracted = with.extract_from(&LocatedHeaders::new(headers), parent)?;
        Some(extracted.into_context(parent))
    }

    fn extract_span_context(with: &Propagation, headers: &HeaderMap) -> Option<SpanContext> {
        with.extract_span_context_from(&LocatedHeaders::new(headers))
    }

    fn span() -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            1.into(),
            2.into(),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        ))
    }

    fn span_context(cx: &Context) -> SpanContext {
        cx.span().span_context().clone()
    }

    #[test]
    fn a_custom_propagator_replaces_the_headers_of_w3c() {
        let b3 = Propagation::from(B3);
        let mut headers = HeaderMap::new();
        b3.inject(&span(), &mut headers);
        assert_eq!(
            headers["b3"],
            "00000000000000000000000000000001-0000000000000002-1"
        );
        assert_eq!(headers.len(), 1, "invalid names and values are omitted");

        let extracted = extract(&b3, &headers, &Context::new()).unwrap();
        assert_eq!(span_context(&extracted), span_context(&span()));
        assert_eq!(
            extract_span_context(&b3, &headers),
            Some(span_context(&span()))
        );
        assert_eq!(extract_span_context(&Propagation::w3c(), &headers), None);
        assert_eq!(extract_span_context(&b3, &HeaderMap::new()), None);
    }

    #[test]
    fn a_custom_propagator_without_its_header_keeps_the_parent() {
        let extracted = extract(&Propagation::from(B3), &HeaderMap::new(), &span());
        assert_eq!(span_context(&extracted.unwrap()), span_context(&span()));
        assert!(extract(&Propagation::w3c(), &HeaderMap::new(), &span()).is_none());
    }

    #[test]
    fn the_global_propagator_is_looked_up_for_every_request() {
        let (propagation, mut headers) = (Propagation::global(), HeaderMap::new());
        propagation.inject(&span(), &mut headers);
        assert!(headers.is_empty(), "none is set");

        global::set_text_map_propagator(B3);
        propagation.inject(&span(), &mut headers);
        assert!(headers.contains_key("b3"));
        assert_eq!(
            extract_span_context(&propagation, &headers),
            Some(span_context(&span()))
        );
    }

    #[test]
    fn baggage_is_read_if_enabled_with_and_without_a_span() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", "tenant=7".parse().unwrap());
        assert!(extract(&Propagation::w3c(), &headers, &Context::new()).is_none());

        let reading = Propagation::w3c().read_baggage();
        let alone = extract(&reading, &headers, &span()).unwrap();
        assert_eq!(alone.baggage().get("tenant").unwrap().as_str(), "7");
        assert_eq!(span_context(&alone), span_context(&span()));

        inject(&span(), &mut headers);
        let both = extract(&reading, &headers, &Context::new()).unwrap();
        assert_eq!(both.baggage().get("tenant").unwrap().as_str(), "7");
        assert_eq!(span_context(&both), span_context(&span()));
    }
}
