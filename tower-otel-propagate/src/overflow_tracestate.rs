//! The part of `tracestate` that travels beside the span.
//!
//! OpenTelemetry's [`TraceState`] is where samplers and exporters look, so a received list belongs
//! there. But it checks keys by the rules of level 1: one `foo@@bar` and it takes none of the list.
//! Dropping such members would delete what others wrote, and keeping the whole list only beside the
//! span would blind the samplers. So `TraceState` gets every member it takes, and if that is not
//! all of them, the complete list rides in the [`Context`](opentelemetry::Context) as well. When a
//! request is sent, the two are merged. A list that fits, the usual one, costs nothing extra.

use crate::w3c::tracestate::{self, List, MAX_CHARS, Member};
use opentelemetry::trace::{SpanContext, TraceId, TraceState};

/// A received list that [`TraceState`] could not hold completely.
///
/// A context outlives the span it was extracted with and can be given another trace's span, so the
/// list knows whose it is. The default one is nobody's.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    trace_id: TraceId,
    /// All members, as one header value.
    header: String,
    /// Those that started out in the span's state. A member of `header` missing here was never
    /// anybody's to remove.
    held: TraceState,
}

impl Default for Carried {
    fn default() -> Self {
        Self {
            trace_id: TraceId::INVALID,
            header: String::new(),
            held: TraceState::NONE,
        }
    }
}

/// Puts a received list into a [`TraceState`], and into a [`Carried`] if that is too small.
pub(crate) fn hold(trace_id: TraceId, received: &List<'_>) -> (TraceState, Option<Carried>) {
    let members = received.members().iter();
    if let Ok(state) = TraceState::from_key_value(members.clone().map(pair)) {
        return (state, None);
    }
    // What it holds is its own secret: ask about each member rather than repeat its rules here.
    let fitting = members
        .map(pair)
        .filter(|pair| TraceState::from_key_value([*pair]).is_ok());
    let held = TraceState::from_key_value(fitting).unwrap_or_default();
    let carried = Carried {
        trace_id,
        header: received.to_header(),
        held: held.clone(),
    };
    (held, Some(carried))
}

/// The header value to send for a span; empty if there is nothing to say.
pub(crate) fn release(span: &SpanContext, carried: Option<&Carried>) -> String {
    let state = span.trace_state();
    let carried = carried.filter(|carried| carried.trace_id == span.trace_id());
    if carried.is_none() && state.into_iter().len() == 0 {
        return String::new();
    }
    let mut list = match carried {
        Some(carried) => carried.merge(state),
        None => list(state),
    };
    // Whoever passes on another's `traceparent` has to pass on its `tracestate` as it is.
    if !span.is_remote() {
        list.shorten(MAX_CHARS);
    }
    list.to_header()
}

impl Carried {
    /// The list with everything that happened to the span's state since: what was removed there is
    /// gone, what was added or changed is in front, all else is where it was.
    fn merge<'a>(&'a self, state: &'a TraceState) -> List<'a> {
        let received = tracestate::parse([self.header.as_bytes()]).unwrap_or_default();
        if *state == self.held {
            return received;
        }

        // Changes happen in front, so the untouched members are matched from the back.
        let (held, now) = (list(&self.held), list(state));
        let mut now = now.members().iter().rev().copied().peekable();
        let mut merged = List::default();
        for member in received.members().iter().rev() {
            if !held.members().contains(member) || now.next_if_eq(member).is_some() {
                merged.push(*member);
            }
        }
        merged.reverse();
        now.for_each(|added| merged.push_front(added));
        merged
    }
}

/// The members of a state that are fit to be sent: it takes empty values and unprintable ones,
/// receivers don't.
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

    fn held(header: &str) -> (TraceState, Option<Carried>) {
        hold(TRACE, &tracestate::parse([header.as_bytes()]).unwrap())
    }

    fn sent(trace: TraceId, state: &TraceState, carried: Option<&Carried>) -> String {
        let (span, flags) = (SpanId::from(1), TraceFlags::SAMPLED);
        let span = SpanContext::new(trace, span, flags, false, state.clone());
        release(&span, carried)
    }

    fn state(pairs: &[(&'static str, &'static str)]) -> TraceState {
        TraceState::from_key_value(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn a_list_that_fits_is_not_carried() {
        let (state, carried) = held("foo=1,t@s=  2,foo=3");
        assert_eq!(state.header(), "foo=1,t@s=  2,foo=3");
        assert!(carried.is_none());
    }

    #[test]
    fn a_list_with_level_2_keys_is_carried_and_the_state_has_the_rest() {
        let received = "foo=1,a@@b=2,bar=3,x@=4,tenant@fifteen-chars-x=5";
        let (state, carried) = held(received);
        assert_eq!(state.header(), "foo=1,bar=3,x@=4");
        assert_eq!(sent(TRACE, &state, carried.as_ref()), received);
    }

    #[test]
    fn changes_of_the_state_show_in_the_carried_list() {
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
            let (_, carried) = held(received);
            assert_eq!(sent(TRACE, &now, carried.as_ref()), expected);
        }
    }

    #[test]
    fn an_own_member_added_to_a_full_carried_list_drops_the_right_most() {
        let members: Vec<_> = (1..=32).map(|n| format!("k@@{n}={n}")).collect();
        let (state, carried) = held(&members.join(","));
        let state = state.insert("own", "0").unwrap();
        let expected = format!("own=0,{}", members[..31].join(","));
        assert_eq!(sent(TRACE, &state, carried.as_ref()), expected);
    }

    #[test]
    fn a_list_carried_for_another_trace_is_not_sent() {
        let (_, carried) = held("l@@2=x");
        assert_eq!(
            sent(TraceId::from(1), &TraceState::NONE, carried.as_ref()),
            ""
        );
        assert_eq!(
            sent(
                TraceId::INVALID,
                &TraceState::NONE,
                Some(&Carried::default())
            ),
            ""
        );
    }

    #[test]
    fn more_than_512_characters_are_shortened_carried_or_not() {
        let long = "v".repeat(200);
        for key in ["l", "l@@2"] {
            let (state, carried) = held(&format!("a={long},b={long},{key}={long},z=1"));
            let header = sent(TRACE, &state, carried.as_ref());
            assert_eq!(header, format!("a={long},b={long},z=1"), "{key}");
        }
    }

    #[test]
    fn members_no_receiver_would_accept_are_not_sent() {
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
        fn whatever_is_held_is_released_unchanged(
            members in proptest::collection::vec(
                "[a-c0-9@][a-c@]{0,4}=[ -+.-<>-~]{0,6}[!-+.-<>-~]",
                0..=32,
            ),
        ) {
            let header = members.join(",");
            if let Some(list) = tracestate::parse([header.as_bytes()]) {
                let (state, carried) = hold(TRACE, &list);
                prop_assert_eq!(sent(TRACE, &state, carried.as_ref()), header);
            }
        }

        #[test]
        fn any_state_is_released_in_valid_form(
            received in proptest::collection::vec("[a-c][a-c@]{0,3}=[1-3]", 0..=32),
            now in proptest::collection::vec(("[a-c]{0,3}", ".{0,3}"), 0..=32),
        ) {
            let (_, carried) = held(&received.join(","));
            if let Ok(state) = TraceState::from_key_value(now) {
                let header = sent(TRACE, &state, carried.as_ref());
                prop_assert!(tracestate::parse([header.as_bytes()]).is_some(), "{}", header);
            }
        }
    }
}
