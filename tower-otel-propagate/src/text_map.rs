//! A context as a map of strings, for message headers and database rows.

use std::collections::BTreeMap;

use opentelemetry::Context;

use crate::{extract::RemoteSpan, inject::OutgoingHeaders};

/// Returns the active span of a context as a map with the keys `traceparent`, and `tracestate` if it has
/// members. The map is empty if there is no valid active span.
///
/// Baggage is not included, because every consumer of the message could read it.
///
/// ```
/// use opentelemetry::{Context, trace::*};
/// use tower_otel_propagate::{context_from_map, context_to_map};
///
/// let span = SpanContext::new(1.into(), 2.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
/// let map = context_to_map(&Context::new().with_remote_span_context(span));
/// assert_eq!(map["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
///
/// // A consumer continues the trace:
/// let cx = context_from_map(&map, &Context::new()).expect("just written");
/// assert_eq!(cx.span().span_context().span_id(), SpanId::from(2));
/// // Or it starts a trace of its own with a link, for example to process several messages at once:
/// let link = Link::with_context(cx.span().span_context().clone());
/// # let _ = link;
/// ```
pub fn context_to_map(cx: &Context) -> BTreeMap<String, String> {
    let Some(OutgoingHeaders {
        traceparent,
        tracestate,
    }) = OutgoingHeaders::new(cx)
    else {
        return BTreeMap::new();
    };
    let traceparent = traceparent.map(char::from).iter().collect();
    let mut map = BTreeMap::from([(TRACEPARENT.to_owned(), traceparent)]);
    map.extend(tracestate.map(|state| (TRACESTATE.to_owned(), state)));
    map
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Returns `parent` with the span of a map as the active span. Reads the maps that [`context_to_map`] returns.
///
/// Any iterator of keys and values is accepted. Keys are compared without case; other keys are ignored.
///
/// Returns `None` if `traceparent` is missing, malformed, or occurs more than once.
pub fn context_from_map<K: AsRef<str>, V: AsRef<str>>(
    map: impl IntoIterator<Item = (K, V)>,
    parent: &Context,
) -> Option<Context> {
    Some(remote_span(map)?.into_context(parent))
}

fn remote_span<K: AsRef<str>, V: AsRef<str>>(
    map: impl IntoIterator<Item = (K, V)>,
) -> Option<RemoteSpan> {
    let (mut parents, mut states) = (Vec::new(), Vec::new());
    for (key, value) in map {
        if key.as_ref().eq_ignore_ascii_case(TRACEPARENT) {
            parents.push(value);
        } else if key.as_ref().eq_ignore_ascii_case(TRACESTATE) {
            states.push(value);
        }
    }
    let parents = parents.iter().map(|value| value.as_ref().as_bytes());
    let states = states.iter().map(|value| value.as_ref().as_bytes());
    RemoteSpan::parse(parents, states)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};

    use super::*;

    fn context() -> Context {
        let state = TraceState::from_key_value([("a", "1")]).unwrap();
        let flags = TraceFlags::new(0x03);
        let span = SpanContext::new(1.into(), 2.into(), flags, true, state);
        Context::new().with_remote_span_context(span)
    }

    #[test]
    fn a_map_preserves_every_part_of_a_span_context() {
        let map = context_to_map(&context());
        assert_eq!(map.len(), 2);
        let again = context_from_map(&map, &Context::new()).unwrap();
        assert_eq!(again.span().span_context(), context().span().span_context());
        let other: HashMap<_, _> = map.iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
        assert!(context_from_map(other, &Context::new()).is_some());
    }

    #[test]
    fn a_map_without_a_valid_span_is_none() {
        assert!(context_to_map(&Context::new()).is_empty());
        for map in [("tracestate", "a=1"), ("traceparent", "")] {
            assert!(context_from_map([map], &Context::new()).is_none());
        }
        let map = context_to_map(&context());
        let twice = map.iter().chain(&map);
        assert!(context_from_map(twice, &Context::new()).is_none());
    }
}
