//! Holds the spans of unsampled traces, and decides about them when the local root ends.

use std::{mem, sync::Arc, time::Instant};

use opentelemetry::{SpanId, trace::SpanContext};

use super::{
    held_trace::{HeldSpan, HeldTrace, SPAN_BYTES},
    listed_span::ListedSpan,
    lookup::{self, FoundBy},
    rules::KeepReason,
    span_results::{Decision, Ended, Freed, Opened},
};
use crate::{
    base_context::BaseContext,
    clock::Timestamp,
    sampling::SampledSpan,
    shared::{PooledRecord, RecordBox, Shared, SpanTrace},
    thread_index,
};

/// The reason why a span is not held.
enum NotHeld {
    /// Its parent is not held.
    NoTrace,
    /// Its trace or all traces have reached their limit in bytes.
    NoRoom,
}

impl Shared {
    /// Holds an unsampled span that starts, at this time or now. Returns `None` if it is not recorded: there are no keep rules,
    /// there is no room, or its trace is not held.
    #[inline(always)]
    pub(crate) fn hold(
        &self,
        base: BaseContext<'_>,
        span: &SampledSpan,
        at: Option<Instant>,
    ) -> Option<HeldSpan<RecordBox>> {
        match self.keeper.rules().were_on() {
            true => self.hold_counted(base, span, at),
            false => None,
        }
    }

    /// Holds a span, or counts it if there is no room.
    #[inline(never)]
    fn hold_counted(
        &self,
        base: BaseContext<'_>,
        span: &SampledSpan,
        at: Option<Instant>,
    ) -> Option<HeldSpan<RecordBox>> {
        let held = self.hold_by(base, span, at);
        if let Err(NotHeld::NoRoom) = held {
            self.pipeline.counters().not_held(1);
        }
        held.ok()
    }

    /// Holds a span that has a record. If there is no room, that is counted once, even if it is tried again when the span
    /// gets another parent.
    pub(crate) fn hold_record(
        &self,
        base: BaseContext<'_>,
        span: &SampledSpan,
        pooled: &mut PooledRecord,
    ) -> SpanTrace {
        let at = match pooled.record.started {
            Timestamp::Instant(at) => Some(at),
            Timestamp::System(_) => None,
        };
        if !self.keeper.rules().were_on() {
            return None;
        }
        match self.hold_by(base, span, at) {
            Ok(held) => {
                let trace = pooled.set_held(Some(held));
                match &trace {
                    Some(_) => pooled.is_counted_not_held = false,
                    None => self.count_not_held(pooled),
                }
                trace
            }
            Err(NotHeld::NoRoom) => {
                self.count_not_held(pooled);
                None
            }
            Err(NotHeld::NoTrace) => None,
        }
    }

    fn count_not_held(&self, pooled: &mut PooledRecord) {
        let is_counted = mem::replace(&mut pooled.is_counted_not_held, true);
        self.pipeline.counters().not_held(u64::from(!is_counted));
    }

    #[inline]
    fn hold_by(
        &self,
        base: BaseContext<'_>,
        span: &SampledSpan,
        at: Option<Instant>,
    ) -> Result<HeldSpan<RecordBox>, NotHeld> {
        if !self.keeper.rules().is_on() {
            // The rules were removed. A span that starts now does not belong to the trace of its parent.
            return Err(NotHeld::NoTrace);
        }
        if span.parent == SpanId::INVALID || span.parent_is_remote {
            return self.hold_root(span, at);
        }
        let found = base
            .read(|base| lookup::read_trace(base, |trace, found_by| (Arc::clone(trace), found_by)));
        let (trace, is_inherited) = match found {
            Some((trace, found_by)) => (Some(trace), found_by == FoundBy::Value),
            None => (lookup::queried_trace(&base.context()), false),
        };
        self.hold_child(trace, span).map(|held| HeldSpan {
            is_inherited,
            ..held
        })
    }

    fn hold_root(
        &self,
        span: &SampledSpan,
        at: Option<Instant>,
    ) -> Result<HeldSpan<RecordBox>, NotHeld> {
        let keeper = &self.keeper;
        let thread = thread_index::current();
        if !keeper.bytes.take(thread, SPAN_BYTES) {
            self.request_room();
            return Err(NotHeld::NoRoom);
        }
        let id = span.context.trace_id();
        let trace = keeper.live.start(
            thread,
            at.unwrap_or_else(Instant::now),
            |trace| trace.restart(id),
            || HeldTrace::new(self.number(), id, &keeper.bytes),
        );
        Ok(HeldSpan {
            trace,
            is_root: true,
            is_inherited: false,
        })
    }

    /// Holds the child of a span with this trace.
    fn hold_child(
        &self,
        trace: SpanTrace,
        span: &SampledSpan,
    ) -> Result<HeldSpan<RecordBox>, NotHeld> {
        let is_own =
            |trace: &Arc<HeldTrace<RecordBox>>| trace.is(self.number(), span.context.trace_id());
        let trace = trace.filter(is_own).ok_or(NotHeld::NoTrace)?;
        match trace.open_child() {
            Opened::Recorded => {}
            Opened::Discarded => return Err(NotHeld::NoTrace),
            Opened::Full => return Err(NotHeld::NoRoom),
        }
        if !self.keeper.bytes.take(thread_index::current(), SPAN_BYTES) {
            trace.cancel_child();
            self.request_room();
            return Err(NotHeld::NoRoom);
        }
        Ok(HeldSpan {
            trace,
            is_root: false,
            is_inherited: false,
        })
    }

    /// Lists a held span of a tracer, whose context its caller makes. A child is not held if there is no place for it and its
    /// parent is only found by its id: its own children would need its lock. A root without a place is held, because more roots
    /// than places may be open. Its children need its lock.
    pub(crate) fn list(
        &self,
        span: &SpanContext,
        held: Option<HeldSpan<RecordBox>>,
    ) -> (Option<HeldSpan<RecordBox>>, Option<ListedSpan>) {
        let listed = held
            .as_ref()
            .and_then(|held| ListedSpan::with_any_place(span, &held.trace));
        if let Some(held) = &held
            && listed.is_none()
            && !held.is_root
            && !held.is_inherited
        {
            self.cancel_held(held);
            self.pipeline.counters().not_held(1);
            return (None, None);
        }
        (held, listed)
    }

    /// Returns a number that no other recorder has at the same time.
    fn number(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Ends a held span. Its record has ended.
    #[inline(never)]
    pub(crate) fn end_held(&self, held: HeldSpan<RecordBox>, pooled: RecordBox) {
        let thread = thread_index::current();
        if held.is_root {
            self.end_root(&held.trace, pooled, thread);
        } else {
            self.end_child(&held.trace, pooled, thread);
        }
    }

    fn end_root(&self, trace: &HeldTrace<RecordBox>, mut pooled: RecordBox, thread: usize) {
        let record = &pooled.record;
        let has_failed = record.has_failed();
        let decision = self
            .keeper
            .decide(trace.is_marked(), has_failed, || record.duration());
        let mut children = self.decide(trace, decision, thread);
        // The root is not added to the children: most traces have none, and are not kept.
        match decision {
            Decision::Kept(reason) => {
                for child in children {
                    self.keep(child, reason, thread);
                }
                pooled.measure();
                if self.keep(pooled, reason, thread) {
                    trace.set_exported();
                }
            }
            Decision::Limited | Decision::Discarded => {
                if decision == Decision::Limited {
                    self.pipeline.counters().keep_limited(children.len() + 1);
                }
                if children.is_empty() {
                    self.pool(pooled, thread);
                } else {
                    self.pool_all(&mut children, Some(pooled), thread);
                    trace.keep_capacity(children);
                }
            }
        }
    }

    fn end_child(&self, trace: &HeldTrace<RecordBox>, mut pooled: RecordBox, thread: usize) {
        let keeper = &self.keeper;
        let bytes = pooled.measure().max(SPAN_BYTES);
        let more = bytes - SPAN_BYTES;
        if more > 0 && !keeper.bytes.take(thread, more) {
            trace.cancel_child();
            keeper.bytes.release(thread, SPAN_BYTES);
            self.pipeline.counters().not_held(1);
            self.request_room();
            return self.pool(pooled, thread);
        }
        match trace.end_child(pooled, bytes) {
            Ended::Held => {}
            Ended::Full(pooled) => {
                keeper.bytes.release(thread, bytes);
                self.pipeline.counters().not_held(1);
                self.pool(pooled, thread);
            }
            Ended::Kept(pooled, reason) => {
                keeper.bytes.release(thread, bytes);
                self.keep(pooled, reason, thread);
            }
            Ended::Limited(pooled) => {
                keeper.bytes.release(thread, bytes);
                self.pipeline.counters().keep_limited(1);
                self.pool(pooled, thread);
            }
            Ended::Discarded(pooled) => {
                keeper.bytes.release(thread, bytes);
                self.pool(pooled, thread);
            }
        }
    }

    /// Frees the place of a span that is no longer recorded. If it is a root, its trace is discarded.
    #[cold]
    pub(crate) fn cancel_held(&self, held: &HeldSpan<RecordBox>) {
        let thread = thread_index::current();
        if held.is_root {
            let mut spans = self.decide(&held.trace, Decision::Discarded, thread);
            self.pool_all(&mut spans, None, thread);
        } else {
            held.trace.cancel_child();
            self.keeper.bytes.release(thread, SPAN_BYTES);
        }
    }

    /// Ends a root, frees its bytes and those of its ended children, and returns these children.
    fn decide(
        &self,
        trace: &HeldTrace<RecordBox>,
        decision: Decision,
        thread: usize,
    ) -> Vec<RecordBox> {
        let Freed { spans, has_bytes } = trace.decide(decision);
        let mut bytes = bytes_of(&spans);
        if has_bytes {
            bytes += SPAN_BYTES;
        } else {
            self.keeper.roots.release(1);
        }
        self.keeper.bytes.release(thread, bytes);
        spans
    }

    /// Returns whether there was no room for a span since the last [`make_room`](Self::make_room).
    pub(crate) fn lacks_room(&self) -> bool {
        self.keeper.live.is_full()
    }

    /// If there was no room for a span since the last call, frees bytes that threads have reserved and discards the children
    /// of old traces. Returns whether that was the case. Called by the export thread.
    pub(crate) fn make_room(&self) -> bool {
        let keeper = &self.keeper;
        if !keeper.live.take_full() {
            return false;
        }
        keeper.bytes.release_unused();
        let thread = thread_index::current();
        for trace in keeper.take_old() {
            let frees_root = || keeper.roots.take(1).is_some();
            let Some(Freed {
                mut spans,
                has_bytes,
            }) = trace.evict_children(frees_root)
            else {
                continue;
            };
            let root = if has_bytes { SPAN_BYTES } else { 0 };
            keeper.bytes.release(thread, root + bytes_of(&spans));
            let evicted = u64::try_from(spans.len()).unwrap_or(u64::MAX);
            self.pipeline.counters().not_held(evicted);
            self.pool_all(&mut spans, None, thread);
        }
        true
    }

    /// Wakes the export thread to make room, because a span is not held and the limit of all traces is reached.
    #[cold]
    fn request_room(&self) {
        if self.keeper.live.set_full() {
            self.pipeline.wake();
        }
    }

    /// Queues a span of a trace that is kept. Returns `false` if there is no room for it.
    fn keep(&self, mut pooled: RecordBox, reason: KeepReason, thread: usize) -> bool {
        self.pipeline.correct_started(thread, 1);
        pooled.record.kept = Some(reason);
        self.queue(pooled, thread)
    }

    /// Returns the records of discarded spans to the pool: children, and their root if it has ended.
    fn pool_all(&self, children: &mut Vec<RecordBox>, root: Option<RecordBox>, thread: usize) {
        let mut root = root;
        let records = children.iter_mut().chain(&mut root);
        records.for_each(|pooled| pooled.record.clear_ended());
        let records = children.drain(..).chain(root);
        self.pipeline.put_spares(thread, records);
    }

    fn pool(&self, mut pooled: RecordBox, thread: usize) {
        pooled.record.clear_ended();
        self.pipeline.put_spare(thread, pooled);
    }
}

/// Returns the number of bytes that ended spans have taken.
fn bytes_of(spans: &[RecordBox]) -> usize {
    spans
        .iter()
        .map(|pooled| pooled.bytes.max(SPAN_BYTES))
        .sum()
}
