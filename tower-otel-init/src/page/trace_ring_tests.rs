#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, Status};

use super::*;
use crate::page::page_trace::MAX_TRACE_BYTES;
use crate::page::span_json::tests::span;

fn numbers(ring: &TraceRing) -> HashSet<u64> {
    let changes = ring.changes_since(0);
    let numbers = changes["numbers"].as_array().unwrap().iter();
    numbers.map(|number| number.as_u64().unwrap()).collect()
}

/// Returns the bytes that all traces have, counted anew.
fn counted(ring: &TraceRing) -> usize {
    ring.traces.values().map(PageTrace::bytes).sum()
}

#[test]
fn the_oldest_traces_make_room_for_new_ones() {
    let mut ring = TraceRing::default();
    for trace in 1..=1200 {
        ring.add(&span(trace, "a"), "shop");
    }
    assert_eq!(numbers(&ring), (701..=1200).collect());
    assert_eq!(ring.bytes, counted(&ring));
}

#[test]
fn failed_and_slow_traces_stay_longest_in_at_most_half_of_the_places() {
    let mut ring = TraceRing::default();
    for trace in 1..=2000 {
        let mut span = span(trace, "a");
        match trace {
            2 => span.status = Status::error("failed"),
            3 => span.end_time = span.start_time + Duration::from_secs(2),
            _ => {}
        }
        ring.add(&span, "shop");
    }
    assert!(numbers(&ring).is_superset(&[2, 3].into()));
    for trace in 2001..=3000 {
        let mut span = span(trace, "a");
        span.status = Status::error("failed");
        ring.add(&span, "shop");
    }
    let notable = numbers(&ring);
    let ordinary = notable.iter().filter(|number| **number <= 2000).count();
    assert_eq!((notable.len(), ordinary), (500, 249));
    assert_eq!(ring.notable.traces, 251);
}

#[test]
fn large_spans_never_exceed_the_bytes() {
    let mut ring = TraceRing::default();
    let large = "x".repeat(100_000);
    for trace in 1..=500 {
        let mut span = span(trace, "a");
        span.attributes.push(KeyValue::new("large", large.clone()));
        ring.add(&span, "shop");
        assert!(ring.bytes <= MAX_BYTES);
    }
    assert_eq!(ring.bytes, counted(&ring));
    assert!(ring.bytes > MAX_BYTES - 200_000 && ring.traces.len() < MAX_TRACES);
    let texts: usize = ring
        .all_spans()
        .iter()
        .map(|(_, spans)| spans[0].len())
        .sum();
    assert!(texts <= MAX_BYTES);
}

#[test]
fn a_trace_of_many_spans_is_cut_and_counted() {
    let mut ring = TraceRing::default();
    let mut child = span(1, "child");
    child.parent_span_id = SpanId::from(9);
    child
        .attributes
        .push(KeyValue::new("text", "x".repeat(400)));
    for _ in 0..10_000 {
        ring.add(&child, "shop");
    }
    let root = span(1, "root");
    ring.add(&root, "shop");
    let TraceSpans { spans, dropped } = ring.spans(1.into()).unwrap();
    assert_eq!(spans.len() + usize::try_from(dropped).unwrap(), 10_001);
    assert!(dropped > 0 && ring.bytes <= MAX_TRACE_BYTES);
    let changes = ring.changes_since(0);
    assert_eq!(
        changes["changed"][0]["name"], "root",
        "the list shows the root all the same"
    );
}

#[test]
fn a_reader_gets_only_what_has_changed() {
    let mut ring = TraceRing::default();
    ring.add(&span(1, "a"), "shop");
    let version = ring.version();
    ring.add(&span(2, "b"), "shop");
    let changes = ring.changes_since(version);
    assert_eq!(changes["changed"].as_array().unwrap().len(), 1);
    assert_eq!(changes["changed"][0]["name"], "b");
    assert_eq!(numbers(&ring), [1, 2].into());
    assert_eq!(
        ring.changes_since(ring.version())["changed"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn the_list_shows_the_span_that_is_closest_to_the_root() {
    let mut ring = TraceRing::default();
    let mut inner = span(1, "inner");
    inner.parent_span_id = SpanId::from(9);
    ring.add(&inner, "shop");
    assert_eq!(ring.changes_since(0)["changed"][0]["incomplete"], true);
    let mut local = span(1, "local root");
    (local.parent_span_id, local.parent_span_is_remote) = (SpanId::from(8), true);
    ring.add(&local, "stock");
    let mut root = span(1, "root");
    root.start_time += Duration::from_secs(1);
    ring.add(&root, "shop");
    ring.add(&local, "stock");
    let changes = ring.changes_since(0);
    let summary = &changes["changed"][0];
    assert_eq!(
        (&summary["name"], &summary["spans"]),
        (&"root".into(), &4.into())
    );
    assert_eq!(summary["incomplete"], false);
}
