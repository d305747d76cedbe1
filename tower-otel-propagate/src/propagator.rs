//! The codecs of this crate as OpenTelemetry propagators.

use std::sync::LazyLock;

use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};

use crate::{
    baggage::{decode, encode},
    extract::RemoteSpan,
    inject::OutgoingHeaders,
};

static TRACE_FIELDS: LazyLock<[String; 2]> =
    LazyLock::new(|| ["traceparent", "tracestate"].map(String::from));
static BAGGAGE_FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| ["baggage".to_owned()]);

/// A `TextMapPropagator` for W3C Trace Context, level 2: the value `tracecontext` of `OTEL_PROPAGATORS`.
///
/// Reads and writes the same headers as [`extract`](crate::extract) and [`inject`](crate::inject),
/// which are faster for an [`http::HeaderMap`]. Two differences depend on the carrier: repeated
/// headers are not detected by an [`Extractor`] without `get_all`, and an [`Injector`] cannot remove
/// an existing `tracestate`.
///
/// ```
/// use opentelemetry::{global, trace::TraceContextExt};
/// use std::collections::HashMap;
/// use tower_otel_propagate::W3cPropagator;
///
/// global::set_text_map_propagator(W3cPropagator::default());
///
/// let received = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03".to_owned();
/// let received = HashMap::from([("traceparent".to_owned(), received)]);
/// let cx = global::get_text_map_propagator(|w3c| w3c.extract(&received));
/// assert!(cx.span().span_context().is_sampled());
///
/// let mut sent = HashMap::new();
/// global::get_text_map_propagator(|w3c| w3c.inject_context(&cx, &mut sent));
/// assert_eq!(sent, received);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct W3cPropagator {
    _private: (),
}

impl TextMapPropagator for W3cPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let Some(OutgoingHeaders {
            traceparent,
            tracestate,
        }) = OutgoingHeaders::new(cx)
        else {
            return;
        };
        injector.set("traceparent", traceparent.map(char::from).iter().collect());
        if let Some(tracestate) = tracestate {
            injector.set("tracestate", tracestate);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let (parents, states) = (
            lines(extractor, "traceparent"),
            lines(extractor, "tracestate"),
        );
        match RemoteSpan::parse(parents, states) {
            Some(remote) => remote.into_context(cx),
            None => cx.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(TRACE_FIELDS.as_slice())
    }
}

/// A `TextMapPropagator` for W3C Baggage: the value `baggage` of `OTEL_PROPAGATORS`.
///
/// A propagator does not know the host that a request is sent to, so this one writes all keys for
/// all hosts. For clients that call third parties use a [`BaggagePolicy`](crate::BaggagePolicy)
/// instead. It reads and writes at most 64 members and 8192 bytes
/// ([specification](https://www.w3.org/TR/baggage/#limits)).
#[derive(Clone, Copy, Debug, Default)]
pub struct BaggagePropagator {
    _private: (),
}

impl TextMapPropagator for BaggagePropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if let Some(list) = encode(cx.baggage(), |_| true) {
            injector.set("baggage", list);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        decode(lines(extractor, "baggage"), cx)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(BAGGAGE_FIELDS.as_slice())
    }
}

/// Returns all lines of a header.
fn lines<'a>(extractor: &'a dyn Extractor, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = extractor.get_all(name).unwrap_or_default();
    lines.into_iter().map(str::as_bytes)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const W3C: W3cPropagator = W3cPropagator { _private: () };

    type Carrier = HashMap<String, String>;

    fn carrier(lines: &[(&str, &str)]) -> Carrier {
        lines
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn injected(propagator: &dyn TextMapPropagator, cx: &Context) -> Carrier {
        let mut sent = Carrier::new();
        propagator.inject_context(cx, &mut sent);
        sent
    }

    /// Header lines in the order of the request.
    struct Lines(Vec<(&'static str, &'static str)>);

    impl Extractor for Lines {
        fn get(&self, key: &str) -> Option<&str> {
            self.get_all(key)?.first().copied()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.iter().map(|(name, _)| *name).collect()
        }

        fn get_all(&self, key: &str) -> Option<Vec<&str>> {
            let lines = self.0.iter().filter(|(name, _)| *name == key);
            Some(lines.map(|(_, value)| *value).collect())
        }
    }

    #[test]
    fn fields_are_traceparent_and_tracestate() {
        assert_eq!(
            W3C.fields().collect::<Vec<_>>(),
            ["traceparent", "tracestate"]
        );
    }

    #[test]
    fn every_line_of_a_header_is_read() {
        let one = Lines(vec![
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b@@=2"),
        ]);
        let cx = W3C.extract_with_context(&Context::new(), &one);
        assert_eq!(
            injected(&W3C, &cx),
            carrier(&[("traceparent", PARENT), ("tracestate", "a=1,b@@=2")])
        );

        let two = Lines(vec![("traceparent", PARENT), ("traceparent", PARENT)]);
        assert!(
            !W3C.extract_with_context(&Context::new(), &two)
                .has_active_span()
        );
    }

    #[test]
    fn the_context_is_unchanged_without_a_valid_traceparent() {
        let span = SpanContext::new(
            1.into(),
            2.into(),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let cx = Context::new().with_remote_span_context(span.clone());
        for received in [
            carrier(&[]),
            carrier(&[("traceparent", "00-x")]),
            carrier(&[("tracestate", "a=1")]),
        ] {
            assert_eq!(
                W3C.extract_with_context(&cx, &received)
                    .span()
                    .span_context(),
                &span
            );
        }
    }

    #[test]
    fn a_context_without_a_span_writes_nothing() {
        assert_eq!(injected(&W3C, &Context::new()), Carrier::new());
    }

    #[test]
    fn an_empty_tracestate_is_not_written() {
        let cx = W3C.extract_with_context(&Context::new(), &carrier(&[("traceparent", PARENT)]));
        assert_eq!(injected(&W3C, &cx), carrier(&[("traceparent", PARENT)]));
    }

    #[test]
    fn every_baggage_key_is_read_and_written() {
        let propagator = BaggagePropagator::default();
        let received = Lines(vec![
            ("baggage", "b=2;p=x,bad key=1"),
            ("baggage", "a=%C3%A4"),
        ]);
        let cx = propagator.extract_with_context(&Context::new(), &received);
        assert_eq!(cx.baggage().get("a").unwrap().as_str(), "ä");
        assert_eq!(
            injected(&propagator, &cx),
            carrier(&[("baggage", "a=%C3%A4,b=2;p=x")])
        );
        assert_eq!(injected(&propagator, &Context::new()), carrier(&[]));
        assert_eq!(propagator.fields().collect::<Vec<_>>(), ["baggage"]);
    }

    proptest! {
        /// For input where the SDK's propagator follows the specification.
        #[test]
        fn agrees_with_the_sdk_on_version_00(
            (trace, span, flags) in (1u128.., 1u64.., 0..2u8),
            state in proptest::collection::vec(
                "[a-z][a-z0-9_*/-]{0,9}(@[a-z0-9]{1,12})?=[!-+.-<>-~]{1,9}",
                0..=16,
            ),
        ) {
            let received = carrier(&[
                ("traceparent", &format!("00-{trace:032x}-{span:016x}-{flags:02x}")),
                ("tracestate", &state.join(", ")),
            ]);
            let sdk = TraceContextPropagator::new();
            let own = W3C.extract_with_context(&Context::new(), &received);
            let other = sdk.extract_with_context(&Context::new(), &received);
            let (own_span, other_span) = (own.span(), other.span());
            prop_assert_eq!(own_span.span_context(), other_span.span_context());

            let mut other = injected(&sdk, &other);
            other.retain(|_, value| !value.is_empty());
            prop_assert_eq!(injected(&W3C, &own), other);
        }
    }
}
