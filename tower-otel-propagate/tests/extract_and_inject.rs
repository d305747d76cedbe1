//! Requests that are received with `traceparent` and `tracestate` and sent on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use proptest::prelude::*;
use tower_otel_core::RequestInfo;
use tower_otel_propagate::{Propagation, extract, inject, w3c};

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

/// Returns the caller's span, for a link.
fn extract_span_context(headers: &HeaderMap) -> Option<SpanContext> {
    let mut request = Request::new(());
    headers.clone_into(request.headers_mut());
    Propagation::w3c().extract_span_context(&RequestInfo::new(&request))
}

/// Returns the headers of a request that is sent in the extracted context, without a span.
fn forwarded(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut sent = HeaderMap::new();
    inject(&extracted(lines).unwrap(), &mut sent);
    sent
}

#[test]
fn a_valid_traceparent_becomes_the_active_remote_span() {
    let cx = extracted(&[("traceparent", PARENT)]).unwrap();
    let span = cx.span().span_context().clone();
    assert!(span.is_remote() && span.is_valid() && span.is_sampled());
    assert_eq!(
        Some(span),
        extract_span_context(&headers(&[("traceparent", PARENT)]))
    );
}

#[test]
fn header_names_are_not_case_sensitive_and_written_in_lower_case() {
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
fn similar_header_names_are_ignored() {
    assert!(extracted(&[("trace-parent", PARENT), ("trace.parent", PARENT)]).is_none());
}

#[test]
fn a_repeated_traceparent_is_ignored() {
    assert!(extracted(&[("traceparent", PARENT), ("traceparent", OTHER)]).is_none());
    assert!(extracted(&[("traceparent", PARENT), ("traceparent", PARENT)]).is_none());
    assert!(extracted(&[("traceparent", PARENT), ("traceparent", "")]).is_none());
    assert!(extracted(&[("traceparent", &format!("{PARENT},{OTHER}"))]).is_none());
}

#[test]
fn a_tracestate_without_a_valid_traceparent_is_ignored() {
    assert!(extracted(&[("tracestate", "foo=1")]).is_none());
    assert!(extracted(&[("traceparent", "00-bad"), ("tracestate", "foo=1")]).is_none());
}

#[test]
fn a_malformed_tracestate_is_ignored_and_the_traceparent_used() {
    for bad in ["foo", "FOO=1", "foo=1,bar==", "foo=1,,bar=2,\u{fc}=3"] {
        let sent = forwarded(&[("traceparent", PARENT), ("tracestate", bad)]);
        assert_eq!(sent, headers(&[("traceparent", PARENT)]), "{bad:?}");
    }
}

#[test]
fn both_headers_are_forwarded_unchanged_without_a_span() {
    let long = "v".repeat(256);
    let long = format!("a={long},b={long},c={long}");
    for state in ["foo=1,bar=2", "foo=1,a@@b=2,c=3", "a@b@c=1", &long] {
        let lines = [("traceparent", PARENT), ("tracestate", state)];
        assert_eq!(forwarded(&lines), headers(&lines));
    }
}

#[test]
fn several_tracestate_lines_are_sent_as_one() {
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
fn a_later_version_is_sent_as_version_00_with_known_flags() {
    let later = PARENT.replacen("00", "cc", 1).replace("-01", "-ff-extra");
    let sent = forwarded(&[("traceparent", &later)]);
    assert_eq!(sent["traceparent"], PARENT.replace("-01", "-03"));
}

#[test]
fn an_unsampled_span_is_sent() {
    assert_eq!(forwarded(&[("traceparent", OTHER)])["traceparent"], OTHER);
}

#[test]
fn inject_without_a_valid_span_changes_nothing() {
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
fn inject_replaces_both_existing_headers() {
    let existing = [
        ("traceparent", OTHER),
        ("traceparent", OTHER),
        ("tracestate", "old=1"),
        ("tracestate", "old=2"),
    ];
    for lines in [
        &[("traceparent", PARENT)][..],
        &[("traceparent", PARENT), ("tracestate", "new=1")],
    ] {
        let mut sent = headers(&existing);
        inject(&extracted(lines).unwrap(), &mut sent);
        assert_eq!(sent, headers(lines));
    }
}

#[test]
fn inject_into_a_full_map_changes_nothing() {
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
fn the_tracestate_of_an_earlier_request_of_the_trace_is_not_sent() {
    let before = extracted(&[("traceparent", PARENT), ("tracestate", "old@@=1")]).unwrap();
    let cx = extract(&headers(&[("traceparent", PARENT)]), &before).unwrap();
    let mut sent = HeaderMap::new();
    inject(&cx, &mut sent);
    assert_eq!(sent, headers(&[("traceparent", PARENT)]));
}

#[test]
fn extract_keeps_the_values_of_the_parent_context() {
    let cx = extract(
        &headers(&[("traceparent", PARENT)]),
        &Context::new().with_value(7u8),
    )
    .unwrap();
    assert_eq!(cx.get(), Some(&7u8));
}

/// Forwards received headers without a span.
fn forwarded_again(received: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::new();
    inject(&extract(received, &Context::new()).unwrap(), &mut sent);
    sent
}

/// Returns the headers of a request that is sent in an SDK span, started in the extracted context.
fn through_a_span(sampler: Sampler, lines: &[(&'static str, &str)]) -> HeaderMap {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let cx = extracted(lines).unwrap();
    let cx = cx.with_span(provider.tracer("test").start_with_context("call", &cx));
    let mut sent = HeaderMap::new();
    inject(&cx, &mut sent);
    sent
}

#[test]
fn a_new_span_is_sent_with_its_own_id_and_the_callers_trace_and_state() {
    let lines = [("traceparent", PARENT), ("tracestate", "foo=1,a@@b=2")];
    let sent = through_a_span(Sampler::AlwaysOn, &lines);
    assert_eq!(sent["tracestate"], "foo=1,a@@b=2");
    let new = extract_span_context(&sent).unwrap();
    let caller = extract_span_context(&headers(&lines)).unwrap();
    assert_eq!(new.trace_id(), caller.trace_id());
    assert_ne!(new.span_id(), caller.span_id());
}

#[test]
fn a_new_span_is_sent_with_a_shortened_state() {
    let (long, short) = ("v".repeat(256), "w".repeat(100));
    let state = format!("a={short},b@@={long},c={long}");
    let lines = [("traceparent", PARENT), ("tracestate", &state)];
    let sent = through_a_span(Sampler::AlwaysOn, &lines);
    assert_eq!(sent["tracestate"], format!("a={short},b@@={long}"));
}

/// A list of 32 members that has `len` characters in each value, with a key that starts with `start`.
fn members(start: &str, len: usize) -> String {
    let members = (10..42).map(|n| format!("{start}{n}={}", "v".repeat(len)));
    members.collect::<Vec<_>>().join(",")
}

#[test]
fn the_state_of_a_span_has_at_most_512_characters_and_a_request_is_forwarded_with_all() {
    let long = "v".repeat(200);
    let before = |state: String, member: &str| state.split_once(member).unwrap().0.to_owned();
    for (received, stored) in [
        (members("k", 11), members("k", 11)),
        (members("k", 12), before(members("k", 12), ",k40=")),
        (members("k", 256), before(members("k", 256), ",k11=")),
        (members("k@@", 256), String::new()),
        (
            format!("a={long},b=1,c={long},d={long},e=1"),
            format!("a={long},b=1,c={long},e=1"),
        ),
    ] {
        let lines = [("traceparent", PARENT), ("tracestate", &received)];
        let cx = extracted(&lines).unwrap();
        let link = extract_span_context(&headers(&lines)).unwrap();
        for span in [cx.span().span_context(), &link] {
            assert_eq!(span.trace_state().header(), stored);
        }
        assert_eq!(forwarded(&lines), headers(&lines));
    }
}

#[test]
fn the_random_flag_of_the_caller_is_preserved_by_a_new_span() {
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
fn an_unsampled_new_span_is_sent_with_the_callers_trace_and_state() {
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
fn a_new_trace_is_sent_without_the_callers_tracestate() {
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
    fn any_extracted_context_is_injected_as_valid_headers(
        parent in "(00|0[1-9]|f[0-9a-f])-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?",
        state in proptest::collection::vec("([a-z0-9@ ]{1,4}=[ -~]{0,200}|,| |\t){0,40}", 0..4),
    ) {
        let mut received = HeaderMap::new();
        if let Ok(value) = parent.parse() {
            received.insert(&w3c::TRACEPARENT, value);
        }
        for line in state {
            received.append(&w3c::TRACESTATE, line.parse().unwrap());
        }
        if let Some(cx) = extract(&received, &Context::new()) {
            let mut sent = HeaderMap::new();
            inject(&cx, &mut sent);
            let before = extract_span_context(&received).unwrap();
                let after = extract_span_context(&sent).unwrap();
            prop_assert_eq!(before.trace_id(), after.trace_id());
            prop_assert_eq!(before.span_id(), after.span_id());
            prop_assert_eq!(before.trace_flags(), after.trace_flags());
            if let Some(state) = sent.get("tracestate") {
                prop_assert!(!state.is_empty());
                let again = forwarded_again(&sent);
                    prop_assert_eq!(again.get("tracestate"), Some(state));
            }
        }
    }
}
