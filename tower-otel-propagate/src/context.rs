//! Between the headers of a request and an OpenTelemetry [`Context`].

use crate::carried::{self, Carried};
use crate::w3c::{TRACEPARENT, TRACESTATE, traceparent, tracestate};
use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use tower_otel_semconv::single_header;

/// Reads the caller's span from the headers of a request: `parent`, with that span as the active
/// one.
///
/// Spans started in the returned context continue the caller's trace. Sampled and random flags are
/// kept. A `tracestate` goes with them to the last member, also where OpenTelemetry's own
/// [`TraceState`] cannot hold it; one that is malformed is ignored. Allocates once if there is no
/// `tracestate`.
///
/// Returns `None` if there is nothing to continue: `traceparent` is missing, malformed, or there
/// are two of them
/// ([specification](https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received)). `parent` is
/// then the context to use.
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, trace::TraceContextExt};
///
/// let mut headers = HeaderMap::new();
/// let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// headers.insert("traceparent", caller.parse()?);
///
/// let cx = tower_otel_propagate::extract(&headers, &Context::new()).expect("a valid header");
/// assert!(cx.span().span_context().is_remote());
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn extract(headers: &HeaderMap, parent: &Context) -> Option<Context> {
    Some(Remote::of(headers)?.into_context(parent))
}

/// What headers say of the caller.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Extracted {
    /// Its span, and nothing else.
    Span(SpanContext),
    /// More than its span, in a context made of the parent's.
    Context(Context),
}

impl Extracted {
    /// The context that follows from it, above the same parent.
    pub fn into_context(self, parent: &Context) -> Context {
        match self {
            Self::Span(span) => parent.with_remote_span_context(span),
            Self::Context(context) => context,
        }
    }
}

/// What [`extract`] makes a context of, as long as a span is all of it.
pub(crate) fn extracted(headers: &HeaderMap, parent: &Context) -> Option<Extracted> {
    let remote = Remote::of(headers)?;
    Some(if remote.is_alone(parent) {
        Extracted::Span(remote.span)
    } else {
        Extracted::Context(remote.into_context(parent))
    })
}

/// Reads the caller's span from the headers of a request without continuing its trace, for a
/// [link](opentelemetry::trace::Link).
///
/// Returns `None` where [`extract`] does. Members of `tracestate` that [`TraceState`] cannot hold
/// are left out.
///
/// ```
/// # use http::HeaderMap;
/// let headers = HeaderMap::new();
/// assert_eq!(tower_otel_propagate::extract_span_context(&headers), None);
/// ```
pub fn extract_span_context(headers: &HeaderMap) -> Option<SpanContext> {
    Some(Remote::of(headers)?.span)
}

/// Writes the active span of `cx` into the headers of a request, in place of any other
/// `traceparent` and `tracestate`.
///
/// A span that is not sampled is written too: its trace goes on, unrecorded. The flags are those of
/// the span, and a span that opentelemetry_sdk 0.33.1 does not sample has forgotten its caller's
/// random flag.
///
/// `tracestate` is only written if it has a member. It is cut to [`tracestate::MAX_CHARS`], unless
/// the active span is the caller's own, merely passed on: then its state is passed on whole
/// ([specification](https://www.w3.org/TR/trace-context-2/#mutating-the-traceparent-field)).
///
/// Without a valid active span the headers stay as they are. They also do if the map can take no
/// more.
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, trace::*};
///
/// let span = SpanContext::new(1.into(), 2.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
/// let cx = Context::new().with_remote_span_context(span);
///
/// let mut headers = HeaderMap::new();
/// tower_otel_propagate::inject(&cx, &mut headers);
/// assert_eq!(headers["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
/// assert!(!headers.contains_key("tracestate"));
/// ```
pub fn inject(cx: &Context, headers: &mut HeaderMap) {
    let Some(Outgoing {
        traceparent,
        tracestate,
    }) = Outgoing::of(cx)
    else {
        return;
    };
    let Ok(traceparent) = HeaderValue::from_bytes(&traceparent) else {
        return;
    };
    if headers.try_insert(&TRACEPARENT, traceparent).is_err() {
        return;
    }
    let written = tracestate
        .and_then(|tracestate| HeaderValue::try_from(tracestate).ok())
        .is_some_and(|tracestate| headers.try_insert(&TRACESTATE, tracestate).is_ok());
    if !written {
        // The state of whoever wrote these headers before does not belong to our span.
        headers.remove(&TRACESTATE);
    }
}

/// A span of another process, as its headers describe it.
pub(crate) struct Remote {
    span: SpanContext,
    carried: Option<Carried>,
}

impl Remote {
    fn of(headers: &HeaderMap) -> Option<Self> {
        // Of two there is none that could be believed.
        let parent = single_header(headers, &TRACEPARENT);
        let states = headers.get_all(&TRACESTATE).iter();
        Self::parse(
            parent.into_iter().map(HeaderValue::as_bytes),
            states.map(HeaderValue::as_bytes),
        )
    }

    /// From all lines of either header.
    pub(crate) fn parse<'a>(
        mut traceparent: impl Iterator<Item = &'a [u8]>,
        tracestate: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let parent = traceparent::parse(traceparent.next()?)?;
        if traceparent.next().is_some() {
            return None;
        }

        let mut tracestate = tracestate.peekable();
        let (state, carried) = match tracestate.peek() {
            None => (TraceState::NONE, None),
            Some(_) => match tracestate::parse(tracestate) {
                None => (TraceState::NONE, None),
                Some(list) => carried::hold(parent.trace_id, &list),
            },
        };
        Some(Self {
            span: parent.into_span_context(state),
            carried,
        })
    }

    /// Whether the span is all there is to add to the parent.
    fn is_alone(&self, parent: &Context) -> bool {
        self.carried.is_none() && parent.get::<Carried>().is_none()
    }

    pub(crate) fn into_context(self, parent: &Context) -> Context {
        let context = match self.carried {
            Some(carried) => &parent.with_value(carried),
            // The parent may carry a list for this very trace, from a request that came through
            // here before.
            None if parent.get::<Carried>().is_some() => &parent.with_value(Carried::default()),
            None => parent,
        };
        context.with_remote_span_context(self.span)
    }
}

/// What the headers of a request should say about the span that sends it.
pub(crate) struct Outgoing {
    pub(crate) traceparent: [u8; traceparent::LEN],
    pub(crate) tracestate: Option<String>,
}

impl Outgoing {
    pub(crate) fn of(cx: &Context) -> Option<Self> {
        let span = cx.span();
        let span = span.span_context();
        if !span.is_valid() {
            return None;
        }
        let state = carried::release(span, cx.get());
        Some(Self {
            traceparent: traceparent::write(span.trace_id(), span.span_id(), span.trace_flags()),
            tracestate: Some(state).filter(|state| !state.is_empty()),
        })
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;
    use http::HeaderName;
    use opentelemetry::trace::{TraceFlags, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use proptest::prelude::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn extracted(lines: &[(&'static str, &str)]) -> Option<Context> {
        extract(&headers(lines), &Context::new())
    }

    /// What leaves if the extracted context is sent on by itself.
    fn forwarded(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut sent = HeaderMap::new();
        inject(&extracted(lines).unwrap(), &mut sent);
        sent
    }

    #[test]
    fn a_valid_traceparent_is_the_active_remote_span() {
        let cx = extracted(&[("traceparent", PARENT)]).unwrap();
        let span = cx.span().span_context().clone();
        assert!(span.is_remote() && span.is_valid() && span.is_sampled());
        assert_eq!(
            Some(span),
            extract_span_context(&headers(&[("traceparent", PARENT)]))
        );
    }

    #[test]
    fn header_names_are_read_in_any_case_and_written_in_lower_case() {
        let mut map = HeaderMap::new();
        map.insert(
            HeaderName::from_bytes(b"TraceParent").unwrap(),
            PARENT.parse().unwrap(),
        );
        assert!(extract(&map, &Context::new()).is_some());
        assert_eq!(
            forwarded(&[("traceparent", PARENT)]).keys().next().unwrap(),
            "traceparent"
        );
    }

    #[test]
    fn other_headers_are_not_traceparent() {
        assert!(extracted(&[("trace-parent", PARENT), ("trace.parent", PARENT)]).is_none());
    }

    #[test]
    fn two_traceparents_are_none() {
        assert!(extracted(&[("traceparent", PARENT), ("traceparent", OTHER)]).is_none());
        assert!(extracted(&[("traceparent", PARENT), ("traceparent", PARENT)]).is_none());
        assert!(extracted(&[("traceparent", PARENT), ("traceparent", "")]).is_none());
        assert!(extracted(&[("traceparent", &format!("{PARENT},{OTHER}"))]).is_none());
    }

    #[test]
    fn a_tracestate_without_a_valid_traceparent_is_dropped() {
        assert!(extracted(&[("tracestate", "foo=1")]).is_none());
        assert!(extracted(&[("traceparent", "00-bad"), ("tracestate", "foo=1")]).is_none());
    }

    #[test]
    fn a_bad_tracestate_leaves_traceparent_alone() {
        for bad in ["foo", "FOO=1", "foo=1,bar==", "foo=1,,bar=2,\u{fc}=3"] {
            let sent = forwarded(&[("traceparent", PARENT), ("tracestate", bad)]);
            assert_eq!(sent, headers(&[("traceparent", PARENT)]), "{bad:?}");
        }
    }

    #[test]
    fn passing_through_without_a_span_forwards_both_headers() {
        let long = "v".repeat(256);
        let long = format!("a={long},b={long},c={long}");
        for state in ["foo=1,bar=2", "foo=1,a@@b=2,c=3", "a@b@c=1", &long] {
            let lines = [("traceparent", PARENT), ("tracestate", state)];
            assert_eq!(forwarded(&lines), headers(&lines));
        }
    }

    #[test]
    fn several_tracestate_lines_leave_as_one() {
        let sent = forwarded(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1, b@@=2"),
            ("tracestate", ""),
            ("tracestate", "c=3"),
        ]);
        assert_eq!(
            sent,
            headers(&[("traceparent", PARENT), ("tracestate", "a=1,b@@=2,c=3")])
        );
    }

    #[test]
    fn an_empty_tracestate_is_not_sent() {
        for empty in ["", " , ,"] {
            let sent = forwarded(&[("traceparent", PARENT), ("tracestate", empty)]);
            assert_eq!(sent, headers(&[("traceparent", PARENT)]));
        }
    }

    #[test]
    fn a_later_version_leaves_as_version_00_with_known_flags() {
        let later = PARENT.replacen("00", "cc", 1).replace("-01", "-ff-more");
        let sent = forwarded(&[("traceparent", &later)]);
        assert_eq!(sent["traceparent"], PARENT.replace("-01", "-03"));
    }

    #[test]
    fn unsampled_still_propagates() {
        assert_eq!(forwarded(&[("traceparent", OTHER)])["traceparent"], OTHER);
    }

    #[test]
    fn without_a_valid_span_the_headers_stay_as_they_are() {
        let zero = SpanContext::new(
            1.into(),
            0.into(),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        for cx in [
            Context::new(),
            Context::new().with_remote_span_context(zero),
        ] {
            let before = headers(&[("traceparent", PARENT), ("tracestate", "foo=1")]);
            let mut after = before.clone();
            inject(&cx, &mut after);
            assert_eq!(after, before);
        }
    }

    #[test]
    fn headers_of_another_span_are_replaced_with_their_state() {
        let stale = [
            ("traceparent", OTHER),
            ("traceparent", OTHER),
            ("tracestate", "old=1"),
            ("tracestate", "old=2"),
        ];
        for ours in [
            &[("traceparent", PARENT)][..],
            &[("traceparent", PARENT), ("tracestate", "own=1")],
        ] {
            let mut sent = headers(&stale);
            inject(&extracted(ours).unwrap(), &mut sent);
            assert_eq!(sent, headers(ours));
        }
    }

    #[test]
    fn a_full_map_is_left_alone() {
        let mut map = HeaderMap::new();
        for n in 0.. {
            if map
                .try_insert(
                    HeaderName::try_from(format!("x-{n}")).unwrap(),
                    HeaderValue::from(n),
                )
                .is_err()
            {
                break;
            }
        }
        let before = map.clone();
        inject(&extracted(&[("traceparent", PARENT)]).unwrap(), &mut map);
        assert_eq!(map, before);
    }

    #[test]
    fn a_list_from_an_earlier_request_of_the_trace_is_not_sent_for_a_later_one() {
        let before = extracted(&[("traceparent", PARENT), ("tracestate", "old@@=1")]).unwrap();
        let cx = extract(&headers(&[("traceparent", PARENT)]), &before).unwrap();
        let mut sent = HeaderMap::new();
        inject(&cx, &mut sent);
        assert_eq!(sent, headers(&[("traceparent", PARENT)]));
    }

    #[test]
    fn values_of_the_parent_context_stay() {
        let cx = extract(
            &headers(&[("traceparent", PARENT)]),
            &Context::new().with_value(7u8),
        )
        .unwrap();
        assert_eq!(cx.get(), Some(&7u8));
    }

    /// Receives a request, starts a span with the SDK, sends a request.
    fn through_a_span(sampler: Sampler, lines: &[(&'static str, &str)]) -> HeaderMap {
        let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
        let cx = extracted(lines).unwrap();
        let cx = cx.with_span(provider.tracer("test").start_with_context("call", &cx));
        let mut sent = HeaderMap::new();
        inject(&cx, &mut sent);
        sent
    }

    #[test]
    fn a_span_of_ours_has_its_own_parent_id_and_the_callers_trace_and_state() {
        let lines = [("traceparent", PARENT), ("tracestate", "foo=1,a@@b=2")];
        let sent = through_a_span(Sampler::AlwaysOn, &lines);
        assert_eq!(sent["tracestate"], "foo=1,a@@b=2");
        let ours = extract_span_context(&sent).unwrap();
        let theirs = extract_span_context(&headers(&lines)).unwrap();
        assert_eq!(ours.trace_id(), theirs.trace_id());
        assert_ne!(ours.span_id(), theirs.span_id());
    }

    #[test]
    fn a_span_of_ours_sends_a_long_state_shortened() {
        let (long, short) = ("v".repeat(256), "w".repeat(100));
        let state = format!("a={short},b@@={long},c={long}");
        let lines = [("traceparent", PARENT), ("tracestate", &state)];
        let sent = through_a_span(Sampler::AlwaysOn, &lines);
        assert_eq!(sent["tracestate"], format!("a={short},b@@={long}"));
    }

    #[test]
    fn the_random_flag_passes_through_a_span_as_it_came() {
        for (flags, expected) in [
            ("00", 0x01),
            ("01", 0x01),
            ("02", 0x03),
            ("03", 0x03),
            ("ff", 0x03),
        ] {
            let parent = PARENT.replace("-01", &format!("-{flags}"));
            let sent = through_a_span(Sampler::AlwaysOn, &[("traceparent", &parent)]);
            let sent = extract_span_context(&sent).unwrap();
            assert_eq!(sent.trace_flags().to_u8(), expected, "{flags}");
        }
    }

    #[test]
    fn a_span_that_is_not_sampled_goes_on_with_the_callers_trace_and_state() {
        let lines = [("traceparent", PARENT), ("tracestate", "foo=1,a@@b=2")];
        let sent = through_a_span(Sampler::AlwaysOff, &lines);
        let span = extract_span_context(&sent).unwrap();
        assert!(!span.is_sampled());
        assert_eq!(
            span.trace_id(),
            extract_span_context(&headers(&lines)).unwrap().trace_id()
        );
        assert_eq!(sent["tracestate"], "foo=1,a@@b=2");
    }

    #[test]
    fn a_new_trace_does_not_inherit_a_carried_list() {
        let cx = extracted(&[("traceparent", PARENT), ("tracestate", "a@@b=2")]).unwrap();
        let provider = SdkTracerProvider::builder().build();
        let tracer = provider.tracer("test");
        let cx = cx.with_span(tracer.start_with_context("root", &Context::new()));
        let mut sent = HeaderMap::new();
        inject(&cx, &mut sent);
        assert!(sent.contains_key("traceparent") && !sent.contains_key("tracestate"));
    }

    proptest! {
        #[test]
        fn whatever_is_extracted_is_injected_in_valid_form(
            parent in "(00|0[1-9]|f[0-9a-f])-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?",
            state in proptest::collection::vec("([a-z0-9@ ]{1,4}=[ -~]{0,200}|,| |\t){0,40}", 0..4),
        ) {
            let mut received = HeaderMap::new();
            if let Ok(value) = parent.parse() {
                received.insert(&TRACEPARENT, value);
            }
            for line in state {
                received.append(&TRACESTATE, line.parse().unwrap());
            }
            if let Some(cx) = extract(&received, &Context::new()) {
                let mut sent = HeaderMap::new();
                inject(&cx, &mut sent);
                let (before, after) = (Remote::of(&received).unwrap(), Remote::of(&sent).unwrap());
                prop_assert_eq!(before.span.trace_id(), after.span.trace_id());
                prop_assert_eq!(before.span.span_id(), after.span.span_id());
                prop_assert_eq!(before.span.trace_flags(), after.span.trace_flags());
                if let Some(state) = sent.get("tracestate") {
                    prop_assert!(!state.is_empty());
                    prop_assert!(tracestate::parse([state.as_bytes()]).is_some());
                }
            }
        }
    }
}
