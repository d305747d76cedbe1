//! Models of held traces: threads that end the spans of one trace, and threads that share the limits of all traces.

use std::{sync::Arc, time::Duration};

use loom::thread;
use opentelemetry::{KeyValue, SpanId, TraceId};

use super::{
    excluded_spans::MAX_EXCLUDED,
    held_bytes::HeldBytes,
    held_trace::{HeldTrace, SPAN_BYTES, TRACE_BYTES},
    rate_limit::RateLimit,
    rules::KeepReason,
    span_results::{Decision, Ended, Opened},
    span_table::{PLACES, SpanTable},
};
use crate::{
    allowance::LendBytes,
    changes::ContextChanges,
    limits::Limits,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

fn trace() -> HeldTrace<u8> {
    let all_bytes = Arc::new(HeldBytes::new(2 * TRACE_BYTES));
    HeldTrace::new(1, TraceId::from(1), &all_bytes)
}

/// The local root and a child end at the same time, and another child starts.
pub fn a_child_that_ends_with_its_root_is_exported_once() {
    let trace = Arc::new(trace());
    assert_eq!(trace.open_child(), Opened::Recorded);
    let child = Arc::clone(&trace);
    let child = thread::spawn(move || child.end_child(7, SPAN_BYTES));
    let late = Arc::clone(&trace);
    let late = thread::spawn(move || {
        assert_eq!(late.open_child(), Opened::Recorded);
        late.end_child(8, SPAN_BYTES)
    });
    let mut exported = trace.decide(Decision::Kept(KeepReason::Error)).spans;
    for ended in [child.join().unwrap(), late.join().unwrap()] {
        match ended {
            Ended::Held => {}
            Ended::Kept(span, KeepReason::Error) => exported.push(span),
            other => panic!("{other:?}"),
        }
    }
    exported.sort_unstable();
    assert_eq!(exported, [7, 8]);
}

/// The local root ends while its children are dropped to free memory.
pub fn the_bytes_of_a_root_are_freed_once() {
    let trace = Arc::new(trace());
    assert_eq!(trace.open_child(), Opened::Recorded);
    assert_eq!(trace.end_child(7, SPAN_BYTES), Ended::Held);
    let old = Arc::clone(&trace);
    let evicted = thread::spawn(move || old.evict_children(|| true));
    let decided = trace.decide(Decision::Discarded);
    let parts = [Some(decided), evicted.join().unwrap()];
    let parts = || parts.iter().flatten();
    assert_eq!(parts().filter(|part| part.has_bytes).count(), 1);
    assert_eq!(parts().map(|part| part.spans.len()).sum::<usize>(), 1);
}

/// One more span than allowed is excluded, while the children of the trace are dropped and its local root ends.
pub fn a_trace_with_too_many_excluded_spans_records_no_children() {
    let trace = Arc::new(trace());
    let mut ids = (0..=MAX_EXCLUDED as u64).map(SpanId::from);
    let last = ids.next_back().unwrap();
    ids.for_each(|id| trace.exclude(id));
    let excluding = Arc::clone(&trace);
    let excluding = thread::spawn(move || excluding.exclude(last));
    trace.evict_children(|| true);
    trace.decide(Decision::Kept(KeepReason::Error));
    excluding.join().unwrap();
    assert_eq!(trace.open_child(), Opened::Full);
}

/// Two traces match the rules in the same second, and one trace per second is allowed.
pub fn the_limit_of_a_second_holds_for_all_threads() {
    let limit = Arc::new(RateLimit::default());
    let other = Arc::clone(&limit);
    let other = thread::spawn(move || other.allows(Duration::ZERO, 1));
    let allowed = limit.allows(Duration::ZERO, 1);
    assert!(allowed != other.join().unwrap());
}

/// Two spans start, and the memory has room for one.
pub fn the_bytes_of_held_spans_are_bounded() {
    let bytes = Arc::new(HeldBytes::new(SPAN_BYTES));
    let other = Arc::clone(&bytes);
    let other = thread::spawn(move || {
        let taken = other.take(1, SPAN_BYTES);
        if taken {
            other.release(1, SPAN_BYTES);
        }
        taken
    });
    let taken = bytes.take(0, SPAN_BYTES);
    let other = other.join().unwrap();
    assert!(taken || other);
    // The bytes that the other thread has released stay with it.
    assert!(!(taken && other), "taken twice");
}

/// A thread takes and frees bytes while the export thread frees the unused ones of all threads.
pub fn no_bytes_are_lost_while_unused_ones_are_freed() {
    let bytes = Arc::new(HeldBytes::new(2 * SPAN_BYTES));
    let other = Arc::clone(&bytes);
    let other = thread::spawn(move || {
        let taken = other.take(1, SPAN_BYTES);
        assert!(taken);
        other.release(1, SPAN_BYTES);
    });
    bytes.release_unused();
    other.join().unwrap();
    bytes.release_unused();
    assert!(bytes.take(0, 2 * SPAN_BYTES));
    assert!(!bytes.take(0, 1));
}

/// Two children start, and the trace has room for one.
pub fn the_bytes_of_a_trace_are_bounded() {
    let trace = Arc::new(trace());
    assert!(trace.take(0, TRACE_BYTES - 2 * SPAN_BYTES));
    let other = Arc::clone(&trace);
    let other = thread::spawn(move || other.open_child() == Opened::Recorded);
    let opened = trace.open_child() == Opened::Recorded;
    assert!(opened != other.join().unwrap());
}

/// The number of bytes that are lent.
struct Lender(AtomicUsize);

impl LendBytes for Lender {
    fn lend(&self, bytes: usize) -> bool {
        self.0.fetch_add(bytes, Relaxed);
        true
    }

    fn take_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

/// Changes a held span with this many earlier changes on another thread, while its owner ends it.
fn change_held_during_the_end(earlier: usize) {
    let lender = Arc::new(Lender(AtomicUsize::new(0)));
    let changes = Arc::new(ContextChanges::new(Limits::default()));
    let change = |changes: &ContextChanges, lender: &Arc<Lender>| {
        let attribute = KeyValue::new("text", "x".repeat(1_000));
        changes.change_held(lender, |extras, limits| extras.attribute(attribute, limits));
    };
    (0..earlier).for_each(|_| change(&changes, &lender));
    let handler = {
        let (changes, lender) = (Arc::clone(&changes), Arc::clone(&lender));
        thread::spawn(move || change(&changes, &lender))
    };
    let count = changes
        .end_held()
        .map_or(0, |extras| extras.attributes.len());
    assert!((earlier..=earlier + 1).contains(&count));
    handler.join().unwrap();
    assert_eq!(lender.0.load(Relaxed), 0);
}

/// A handler makes the first change of a held span while its owner ends it.
pub fn the_first_change_during_the_end_of_a_held_span_keeps_no_bytes() {
    change_held_during_the_end(0);
}

/// A handler makes the second change of a held span while its owner ends it.
pub fn another_change_during_the_end_of_a_held_span_keeps_no_bytes() {
    change_held_during_the_end(1);
}

/// Two spans whose ids belong to the same bucket are inserted and freed.
pub fn a_span_in_the_table_is_found_until_its_place_is_freed() {
    let table = Arc::new(SpanTable::new(1));
    let use_table = |table: &SpanTable<u64>, id| {
        let span = SpanId::from(id);
        let found = || table.find(span, |value| Some(**value));
        let place = table.insert(span, &Arc::new(id), PLACES).unwrap();
        assert_eq!(found(), Some(id));
        drop(place);
        assert_eq!(found(), None);
    };
    let other = Arc::clone(&table);
    let other = thread::spawn(move || use_table(&other, 2));
    use_table(&table, 1);
    other.join().unwrap();
    let insert = |id| table.insert(SpanId::from(id), &Arc::new(id), PLACES);
    let places: Vec<_> = (1..=9).filter_map(insert).collect();
    assert_eq!(places.len(), 8);
}

/// A span starts below another one on another thread, while the place of a third span in their bucket is freed.
pub fn a_child_on_another_thread_finds_its_parent() {
    let table = Arc::new(SpanTable::new(1));
    let ended = table.insert(SpanId::from(1), &Arc::new(1), PLACES).unwrap();
    let other = Arc::clone(&table);
    let other = thread::spawn(move || {
        let place = other.insert(SpanId::from(2), &Arc::new(2), PLACES).unwrap();
        let child = {
            let other = Arc::clone(&other);
            thread::spawn(move || other.find(SpanId::from(2), |value| Some(**value)))
        };
        assert_eq!(child.join().unwrap(), Some(2));
        drop(place);
    });
    drop(ended);
    other.join().unwrap();
}
