#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::*;
use crate::page::page_trace::MAX_TRACE_BYTES;
use crate::page::test_span::{fail, source, span, text};

const SECOND: u64 = 1_000_000_000;

fn add(ring: &mut TraceRing, span: &Span, service: &str) {
    ring.add(&span.encode_to_vec(), &source(service));
}

fn numbers(ring: &TraceRing) -> HashSet<u64> {
    let changes = ring.changes_since(0).json();
    let numbers = changes["numbers"].as_array().unwrap().iter();
    numbers.map(|number| number.as_u64().unwrap()).collect()
}

/// Returns the bytes of all traces, counted again.
fn counted(ring: &TraceRing) -> usize {
    ring.traces().map(PageTrace::bytes).sum()
}

#[test]
fn the_oldest_traces_make_room_for_new_ones() {
    let mut ring = TraceRing::default();
    for trace in 1..=1200 {
        add(&mut ring, &span(trace, "a"), "shop");
    }
    assert_eq!(numbers(&ring), (701..=1200).collect());
    assert_eq!(ring.bytes(), counted(&ring));
}

#[test]
fn failed_and_slow_traces_stay_longest_in_at_most_half_of_the_places() {
    let mut ring = TraceRing::default();
    for trace in 1..=2000 {
        let mut span = span(trace, "a");
        match trace {
            2 => fail(&mut span, "failed"),
            3 => span.end_time_unix_nano += 2 * SECOND,
            _ => {}
        }
        add(&mut ring, &span, "shop");
    }
    assert!(numbers(&ring).is_superset(&[2, 3].into()));
    for trace in 2001..=3000 {
        let mut span = span(trace, "a");
        fail(&mut span, "failed");
        add(&mut ring, &span, "shop");
    }
    let notable = numbers(&ring);
    let ordinary = notable.iter().filter(|number| **number <= 2000).count();
    assert_eq!((notable.len(), ordinary), (500, 250));
    assert_eq!(ring.notable.order.len(), 250);
}

#[test]
fn large_spans_never_exceed_the_bytes() {
    let mut ring = TraceRing::default();
    let large = "x".repeat(100_000);
    for trace in 1..=500 {
        let mut span = span(trace, "a");
        span.attributes.push(text("large", &large));
        add(&mut ring, &span, "shop");
        assert!(ring.bytes() <= MAX_BYTES);
    }
    assert_eq!(ring.bytes(), counted(&ring));
    assert!(ring.bytes() > MAX_BYTES - 200_000 && ring.len() < MAX_TRACES);
    assert!(ring.places.iter().map(PageTrace::bytes).sum::<usize>() <= MAX_BYTES + 200_000);
}

#[test]
fn places_without_a_trace_have_small_buffers() {
    let mut ring = TraceRing::default();
    let large = "x".repeat(100_000);
    for trace in 1..=500 {
        let mut span = span(trace, "a");
        span.attributes.push(text("large", &large));
        add(&mut ring, &span, "shop");
        let free = ring.free.iter().map(|place| ring.places[*place].bytes());
        let allowed = 1000 * ring.free.len() + (16 << 10);
        assert!(free.sum::<usize>() <= allowed, "{trace}");
    }
    assert!(!ring.free.is_empty());
}

#[test]
fn the_changes_of_one_lock_are_limited_in_bytes_and_a_trace_that_changes_meanwhile_is_in_later_ones()
 {
    let mut ring = TraceRing::default();
    let large = "x".repeat(100_000);
    for trace in 1..=20 {
        let mut span = span(trace, "a");
        span.attributes.push(text("large", &large));
        add(&mut ring, &span, "shop");
    }
    let (mut seen, mut version) = (Vec::new(), 0);
    while version < ring.version() {
        let changes = ring.changes_since(version);
        let copied = changes.changed.iter().map(|trace| trace.title.end());
        assert!(copied.sum::<usize>() < 400_000);
        assert!(changes.version > version && changes.numbers.len() == 20);
        if version == 0 {
            // It is in the first changes already.
            add(&mut ring, &span(1, "late"), "shop");
        }
        seen.extend(changes.changed.iter().map(|trace| trace.number));
        version = changes.version;
    }
    assert_eq!(seen, (1..=20).chain([1]).collect::<Vec<_>>());
}

#[test]
fn a_trace_of_many_spans_is_cut_and_counted() {
    let mut ring = TraceRing::default();
    let mut child = span(1, "child");
    child.parent_span_id = vec![9; 8];
    child.attributes.push(text("text", &"x".repeat(600)));
    for _ in 0..10_000 {
        add(&mut ring, &child, "shop");
    }
    let root = span(1, "root");
    add(&mut ring, &root, "shop");
    let trace = ring.trace(1.into()).unwrap();
    let dropped = usize::try_from(trace.dropped_spans()).unwrap();
    assert_eq!(trace.spans().len() + dropped, 10_001);
    assert!(dropped > 0 && ring.bytes() <= MAX_TRACE_BYTES);
    let changes = ring.changes_since(0).json();
    assert_eq!(
        changes["changed"][0]["name"], "root",
        "the list shows the root all the same"
    );
}

#[test]
fn a_reader_gets_only_what_has_changed() {
    let mut ring = TraceRing::default();
    add(&mut ring, &span(1, "a"), "shop");
    let version = ring.version();
    add(&mut ring, &span(2, "b"), "shop");
    let changes = ring.changes_since(version).json();
    assert_eq!(changes["changed"].as_array().unwrap().len(), 1);
    assert_eq!(changes["changed"][0]["name"], "b");
    assert_eq!(numbers(&ring), [1, 2].into());
    assert_eq!(
        ring.changes_since(ring.version()).json()["changed"]
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
    inner.parent_span_id = vec![9; 8];
    add(&mut ring, &inner, "shop");
    assert_eq!(
        ring.changes_since(0).json()["changed"][0]["incomplete"],
        true
    );
    let mut local = span(1, "local root");
    (local.parent_span_id, local.flags) = (vec![8; 8], 0x301);
    add(&mut ring, &local, "stock");
    let mut root = span(1, "root");
    root.start_time_unix_nano += SECOND;
    root.end_time_unix_nano += SECOND;
    add(&mut ring, &root, "shop");
    add(&mut ring, &local, "stock");
    let changes = ring.changes_since(0).json();
    let summary = &changes["changed"][0];
    assert_eq!(
        (&summary["name"], &summary["spans"]),
        (&"root".into(), &4.into())
    );
    assert_eq!(summary["incomplete"], false);
}

#[test]
fn the_list_has_the_statuses_of_clients_whose_root_has_none() {
    let mut ring = TraceRing::default();
    for code in ["503", "200", "503"] {
        let mut client = span(1, "GET");
        (client.kind, client.parent_span_id) = (3, vec![7; 8]);
        client
            .attributes
            .push(text("http.response.status_code", code));
        add(&mut ring, &client, "shop");
    }
    let mut root = span(1, "price lookup");
    root.kind = 1;
    add(&mut ring, &root, "shop");
    add(&mut ring, &span(2, "other"), "shop");
    let changes = ring.changes_since(0).json();
    let changed = changes["changed"].as_array().unwrap().iter();
    let texts: HashSet<String> = changed
        .map(|trace| format!("{} {} {}", trace["name"], trace["code"], trace["classes"]))
        .collect();
    let expected = [r#""price lookup" null "25""#, r#""other" null """#];
    assert_eq!(texts, expected.map(str::to_owned).into());
}

#[test]
fn the_titles_of_changes_are_decoded_after_the_ring_has_removed_their_traces() {
    let mut ring = TraceRing::default();
    add(&mut ring, &span(1, "GET /first"), "shop");
    let changes = ring.changes_since(0);
    // The ring is not locked, so it can change.
    for trace in 2..=1 + MAX_TRACES as u128 {
        add(&mut ring, &span(trace, "a"), "shop");
    }
    assert!(ring.trace(1.into()).is_none());
    assert_eq!(changes.json()["changed"][0]["name"], "GET /first");
}
