//! In which headers a context travels.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::{
    Context, global,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};

use crate::{
    Extracted, baggage, extract,
    header_carrier::{Reader, Writer},
};

/// The headers a context is written to and read from.
///
/// The default is W3C Trace Context, by this crate's own codec. Any propagator can be one: B3,
/// Jaeger, X-Ray, or several of them as a `TextMapCompositePropagator`.
///
/// ```
/// use opentelemetry_sdk::propagation::TraceContextPropagator;
/// use tower_otel_propagate::{Format, PropagateLayer};
///
/// let own = PropagateLayer::new().propagator(TraceContextPropagator::new());
/// let global = PropagateLayer::new().propagator(Format::global());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Format {
    codec: Codec,
    reads_baggage: bool,
}

#[derive(Clone, Debug, Default)]
enum Codec {
    #[default]
    W3c,
    Global,
    Own(Arc<dyn TextMapPropagator + Send + Sync>),
}

impl Format {
    /// W3C Trace Context, level 2. The default.
    pub const fn w3c() -> Self {
        Self::of(Codec::W3c)
    }

    /// Whatever propagator is the process's own at the time of a request
    /// (`opentelemetry::global::set_text_map_propagator`). None is, until somebody sets one.
    pub const fn global() -> Self {
        Self::of(Codec::Global)
    }

    const fn of(codec: Codec) -> Self {
        Self {
            codec,
            reads_baggage: false,
        }
    }

    /// Reads `baggage` as well, as [`baggage::extract`] does. It is not read otherwise: what
    /// strangers send would be found again wherever baggage is looked at.
    #[must_use]
    pub const fn reading_baggage(mut self) -> Self {
        self.reads_baggage = true;
        self
    }

    /// Writes the context into the headers.
    pub fn inject(&self, cx: &Context, headers: &mut HeaderMap) {
        match &self.codec {
            Codec::W3c => extract::inject(cx, headers),
            Codec::Global => global::get_text_map_propagator(|propagator| {
                propagator.inject_context(cx, &mut Writer(headers));
            }),
            Codec::Own(propagator) => propagator.inject_context(cx, &mut Writer(headers)),
        }
    }

    /// What the headers add to `parent`; `None` if that is nothing, as far as one can tell.
    pub fn extract(&self, headers: &HeaderMap, parent: &Context) -> Option<Context> {
        let extracted = self.extracted(headers, parent)?;
        Some(extracted.into_context(parent))
    }

    /// The same, for who needs no context where the caller's span is all that the headers say.
    #[doc(hidden)]
    pub fn extracted(&self, headers: &HeaderMap, parent: &Context) -> Option<Extracted> {
        let reader = Reader(headers);
        let extracted = match &self.codec {
            Codec::W3c => extract::extracted(headers, parent),
            Codec::Global => Some(Extracted::Context(global::get_text_map_propagator(
                |propagator| propagator.extract_with_context(parent, &reader),
            ))),
            Codec::Own(propagator) => Some(Extracted::Context(
                propagator.extract_with_context(parent, &reader),
            )),
        };
        if self.reads_baggage && baggage::is_in(headers) {
            let context = extracted.map(|extracted| extracted.into_context(parent));
            let context = baggage::extract(headers, context.as_ref().unwrap_or(parent));
            return Some(Extracted::Context(context));
        }
        extracted
    }

    /// The caller's span alone, for a [link](opentelemetry::trace::Link).
    pub fn extract_span_context(&self, headers: &HeaderMap) -> Option<SpanContext> {
        if matches!(self.codec, Codec::W3c) {
            return extract::extract_span_context(headers);
        }
        let context = self.extract(headers, &Context::new())?;
        let span = context.span().span_context().clone();
        Some(span).filter(SpanContext::is_valid)
    }
}

impl<P: TextMapPropagator + Send + Sync + 'static> From<P> for Format {
    fn from(propagator: P) -> Self {
        Self::of(Codec::Own(Arc::new(propagator)))
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

    /// The single header of B3, as far as a test needs it.
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

    fn span() -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            1.into(),
            2.into(),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        ))
    }

    fn spans(cx: &Context) -> SpanContext {
        cx.span().span_context().clone()
    }

    #[test]
    fn a_propagator_by_value_replaces_the_headers_of_w3c() {
        let b3 = Format::from(B3);
        let mut headers = HeaderMap::new();
        b3.inject(&span(), &mut headers);
        assert_eq!(
            headers["b3"],
            "00000000000000000000000000000001-0000000000000002-1"
        );
        assert_eq!(headers.len(), 1, "what no header can be is left out");

        let extracted = b3.extract(&headers, &Context::new()).unwrap();
        assert_eq!(spans(&extracted), spans(&span()));
        assert_eq!(b3.extract_span_context(&headers), Some(spans(&span())));
        assert_eq!(Format::w3c().extract_span_context(&headers), None);
        assert_eq!(b3.extract_span_context(&HeaderMap::new()), None);
    }

    #[test]
    fn a_propagator_that_finds_nothing_keeps_the_parent() {
        let extracted = Format::from(B3).extract(&HeaderMap::new(), &span());
        assert_eq!(spans(&extracted.unwrap()), spans(&span()));
        assert!(Format::w3c().extract(&HeaderMap::new(), &span()).is_none());
    }

    #[test]
    fn the_global_propagator_is_asked_at_every_request() {
        let (format, mut headers) = (Format::global(), HeaderMap::new());
        format.inject(&span(), &mut headers);
        assert!(headers.is_empty(), "nobody has set one");

        global::set_text_map_propagator(B3);
        format.inject(&span(), &mut headers);
        assert!(headers.contains_key("b3"));
        assert_eq!(format.extract_span_context(&headers), Some(spans(&span())));
    }

    #[test]
    fn baggage_is_read_when_asked_with_and_without_a_span() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", "tenant=7".parse().unwrap());
        assert!(Format::w3c().extract(&headers, &Context::new()).is_none());

        let reading = Format::w3c().reading_baggage();
        let alone = reading.extract(&headers, &span()).unwrap();
        assert_eq!(alone.baggage().get("tenant").unwrap().as_str(), "7");
        assert_eq!(spans(&alone), spans(&span()));

        extract::inject(&span(), &mut headers);
        let both = reading.extract(&headers, &Context::new()).unwrap();
        assert_eq!(both.baggage().get("tenant").unwrap().as_str(), "7");
        assert_eq!(spans(&both), spans(&span()));
    }
}
