//! Members of `tracestate` that do not fit into OpenTelemetry's [`TraceState`].
//!
//! Samplers and exporters read [`TraceState`], so a received list is stored there. Two kinds of list do
//! not fit:
//!
//! - Lists with a key such as `foo@@bar`: [`TraceState`] applies the rules of level 1 to keys and rejects
//!   the whole list.
//! - Lists of more than 512 characters: every span of the trace copies its [`TraceState`], and any client
//!   can send a list of 16 kB. So at most 512 characters are stored, the limit of the spans of this process.
//!
//! Dropping such members would delete the data of other tracing systems. So [`split`] stores every
//! member that fits in the [`TraceState`], and the complete list in the
//! [`Context`](opentelemetry::Context) if some do not fit. [`merge`] joins the two when a request is
//! sent. A list that fits completely is stored once.

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceId, TraceState},
};

use crate::w3c::tracestate::{self, List, MAX_CHARS, Member};

/// A received list that [`TraceState`] cannot store completely.
///
/// The list applies only to spans of its own trace: a context that contains it can later get a span of another trace. The
/// default list applies to no trace.
#[derive(Clone, Debug)]
pub(crate) struct OverflowTraceState {
    trace_id: TraceId,
    /// All members as one header value.
    header: String,
    /// The members that were stored in the span's state. The application can remove only these.
    stored: TraceState,
}

impl Default for OverflowTraceState {
    fn default() -> Self {
        Self {
            trace_id: TraceId::INVALID,
            header: String::new(),
            stored: TraceState::NONE,
        }
    }
}

/// Returns whether a context has a list that does not fit in the state of a span.
#[inline]
pub(crate) fn has_overflow(context: &Context) -> bool {
    context.get::<OverflowTraceState>().is_some()
}

/// Stores a received list in a [`TraceState`], and the complete list in an [`OverflowTraceState`] if
/// some members do not fit.
pub(crate) fn split(
    trace_id: TraceId,
    received: &List<'_>,
) -> (TraceState, Option<OverflowTraceState>) {
    let members = received.members().iter();
    if received.chars() <= MAX_CHARS
        && let Ok(state) = TraceState::from_key_value(members.map(pair))
    {
        return (state, None);
    }
    let mut short = received.clone();
    short.shorten(MAX_CHARS);
    // Try each member: the rules of `TraceState` are not public.
    let fitting = short.members().iter();
    let fitting = fitting
        .map(pair)
        .filter(|pair| TraceState::from_key_value([*pair]).is_ok());
    let stored = TraceState::from_key_value(fitting).unwrap_or_default();
    let overflow = OverflowTraceState {
        trace_id,
        header: received.to_header(),
        stored: stored.clone(),
    };
    (stored, Some(overflow))
}

/// Returns the `tracestate` value to send for a span. It is empty if there are no members.
pub(crate) fn merge(span: &SpanContext, overflow: Option<&OverflowTraceState>) -> String {
    let state = span.trace_state();
    let overflow = overflow.filter(|overflow| overflow.trace_id == span.trace_id());
    if overflow.is_none() && state.into_iter().len() == 0 {
        return String::new();
    }
    let mut list = match overflow {
        Some(overflow) => overflow.apply_changes(state),
        None => list(state),
    };
    // The `tracestate` of a forwarded `traceparent` must not change.
    if !span.is_remote() {
        list.shorten(MAX_CHARS);
    }
    list.to_header()
}

impl OverflowTraceState {
    /// Returns the complete list with the changes that were made to the span's state: removed
    /// members are removed, added and changed members are in front, the others keep their places.
    fn apply_changes<'a>(&'a self, state: &'a TraceState) -> List<'a> {
        let received = tracestate::parse([self.header.as_bytes()]).unwrap_or_default();
        if *state == self.stored {
            return received;
        }

        // Changes are made in front, so the unchanged members are matched from the back.
        let (stored, now) = (list(&self.stored), list(state));
        let mut now = now.members().iter().rev().copied().peekable();
        let mut merged = List::default();
        for member in received.members().iter().rev() {
            if !stored.members().contains(member) || now.next_if_eq(member).is_some() {
                merged.push(*member);
            }
        }
        merged.reverse();
        now.for_each(|added| merged.push_front(added));
        merged
    }
}

/// Returns the members of a state that are valid in a header. [`TraceState`] also accepts empty and
/// unprintable values.
fn list(state: &TraceState) -> List<'_> {
    let mut list = List::default();
    for member in state
        .into_iter()
        .filter_map(|(key, value)| Member::new(key, value))
    {
        list.push(member);
    }
    list
}

fn pair<'a>(member: &Member<'a>) -> (&'a str, &'a str) {
    (member.key(), member.value())
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
    use opentelemetry::trace::{SpanId, TraceFlags};
    use proptest::prelude::*;

    const TRACE: TraceId = TraceId::from_bytes([7; 16]);

    fn split_header(header: &str) -> (TraceState, Option<OverflowTraceState>) {
        split(TRACE, &tracestate::parse([header.as_bytes()]).unwrap())
    }

    fn sent(trace: TraceId, state: &TraceState, overflow: Option<&OverflowTraceState>) -> String {
        let (span, flags) = (SpanId::from(1), TraceFlags::SAMPLED);
        let span = SpanContext::new(trace, span, flags, false, state.clone());
        merge(&span, overflow)
    }

    fn state(pairs: &[(&'static str, &'static str)]) -> TraceState {
        TraceState::from_key_value(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn a_list_that_fits_has_no_overflow() {
        let (state, overflow) = split_header("foo=1,t@s=  2,foo=3");
        assert_eq!(state.header(), "foo=1,t@s=  2,foo=3");
        assert!(overflow.is_none());
    }

    #[test]
    fn a_list_with_level_2_keys_overflows_and_the_state_has_the_other_members() {
        let received = "foo=1,a@@b=2,bar=3,x@=4,tenant@fifteen-chars-x=5";
        let (state, overflow) = split_header(received);
        assert_eq!(state.header(), "foo=1,bar=3,x@=4");
        assert_eq!(sent(TRACE, &state, overflow.as_ref()), received);
    }

    #[test]
    fn changes_of_the_state_appear_in_the_complete_list() {
        let received = "a=1,l@@2=x,b=2,own=3,m@@2=y";
        for (now, expected) in [
            (state(&[("a", "1"), ("b", "2"), ("own", "3")]), received),
            (
                state(&[("new", "0"), ("a", "1"), ("b", "2"), ("own", "3")]),
                "new=0,a=1,l@@2=x,b=2,own=3,m@@2=y",
            ),
            (
                state(&[("own", "4"), ("a", "1"), ("b", "2")]),
                "own=4,a=1,l@@2=x,b=2,m@@2=y",
            ),
            (
                state(&[("own", "3"), ("a", "1"), ("b", "2")]),
                "own=3,a=1,l@@2=x,b=2,m@@2=y",
            ),
            (
                state(&[("n", "5"), ("own", "4"), ("a", "1")]),
                "n=5,own=4,a=1,l@@2=x,m@@2=y",
            ),
            (
                state(&[("a", "1"), ("own", "3")]),
                "a=1,l@@2=x,own=3,m@@2=y",
            ),
            (state(&[]), "l@@2=x,m@@2=y"),
        ] {
            let (_, overflow) = split_header(received);
            assert_eq!(sent(TRACE, &now, overflow.as_ref()), expected);
        }
    }

    #[test]
    fn a_member_added_to_a_full_overflowing_list_removes_the_last_member() {
        let members: Vec<_> = (1..=32).map(|n| format!("k@@{n}={n}")).collect();
        let (state, overflow) = split_header(&members.join(","));
        let state = state.insert("own", "0").unwrap();
        let expected = format!("own=0,{}", members[..31].join(","));
        assert_eq!(sent(TRACE, &state, overflow.as_ref()), expected);
    }

    #[test]
    fn a_member_that_a_sampler_sets_replaces_the_one_that_did_not_fit() {
        let mut members: Vec<_> = (1..=31).map(|n| format!("k{n:02}={n:016}")).collect();
        members.push("ot=rv:0123456789abcd".to_owned());
        let (stored, overflow) = split_header(&members.join(","));
        assert_eq!(stored.get("ot"), None, "the member does not fit");
        for now in [
            state(&[("ot", "th:8")]),
            stored.insert("ot", "th:8").unwrap(),
        ] {
            let header = sent(TRACE, &now, overflow.as_ref());
            let own: Vec<_> = header.split(',').filter(|m| m.starts_with("ot=")).collect();
            assert_eq!(own, ["ot=th:8"], "{header}");
        }
    }

    #[test]
    fn the_overflow_of_another_trace_is_not_sent() {
        let (_, overflow) = split_header("l@@2=x");
        assert_eq!(
            sent(TraceId::from(1), &TraceState::NONE, overflow.as_ref()),
            ""
        );
        assert_eq!(
            sent(
                TraceId::INVALID,
                &TraceState::NONE,
                Some(&OverflowTraceState::default())
            ),
            ""
        );
    }

    #[test]
    fn a_list_is_shortened_to_512_characters_with_and_without_overflow() {
        let long = "v".repeat(200);
        for key in ["l", "l@@2"] {
            let (state, overflow) = split_header(&format!("a={long},b={long},{key}={long},z=1"));
            let header = sent(TRACE, &state, overflow.as_ref());
            assert_eq!(header, format!("a={long},b={long},z=1"), "{key}");
        }
    }

    #[test]
    fn members_that_are_invalid_in_a_header_are_not_sent() {
        let state = state(&[
            ("empty", ""),
            ("a", "1"),
            ("line", "1\r\n"),
            ("end", "1 "),
            ("", "x"),
        ]);
        assert_eq!(sent(TRACE, &state, None), "a=1");
    }

    proptest! {
        #[test]
        fn merge_restores_the_list_that_was_split(
            members in proptest::collection::vec(
                "[a-c0-9@][a-c@]{0,4}=[ -+.-<>-~]{0,6}[!-+.-<>-~]",
                0..=32,
            ),
        ) {
            let header = members.join(",");
            if let Some(list) = tracestate::parse([header.as_bytes()]) {
                let (state, overflow) = split(TRACE, &list);
                prop_assert_eq!(sent(TRACE, &state, overflow.as_ref()), header);
            }
        }

        #[test]
        fn any_state_is_sent_as_a_valid_list(
            received in proptest::collection::vec("[a-c][a-c@]{0,3}=[1-3]", 0..=32),
            now in proptest::collection::vec(("[a-c]{0,3}", ".{0,3}"), 0..=32),
        ) {
            let (_, overflow) = split_header(&received.join(","));
            if let Ok(state) = TraceState::from_key_value(now) {
                let header = sent(TRACE, &state, overflow.as_ref());
                prop_assert!(tracestate::parse([header.as_bytes()]).is_some(), "{}", header);
            }
        }
    }
}
