//! The open spans of a layer.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use opentelemetry::Context;

use super::span_state::{Recording, SpanState};
use crate::{
    shards::Shards,
    sync::{Mutex, MutexGuard},
};

/// The number of low bits of a registry id that contain the index of a span in its thread. The bits above contain the thread.
/// The highest bits differ each time an index is reused. This is the layout of `sharded-slab`.
///
/// Other layouts also work: spans that share a place, and those from `MAX_SPANS` on, are in `others`.
const INDEX_BITS: u32 = usize::BITS / 2 + 6;
const THREAD_BITS: u32 = if usize::BITS < 64 { 8 } else { 13 };

/// The maximum number of places of a thread, which use 16 MiB. A registry with ascending ids uses all of them.
const MAX_SPANS: u64 = 1 << 17;

/// The open spans of a layer, by their registry id.
///
/// They are not stored in the extensions of the registry, which need an allocation for each span and two more locks for each
/// access.
#[derive(Default)]
pub(super) struct OpenSpans {
    /// A list for each thread that opens spans.
    places: Shards<Shards<Place>>,
    /// Spans without a place, and spans whose place is taken by a span whose close the layer did not receive.
    others: Mutex<HashMap<u64, SpanState>>,
    has_others: AtomicBool,
}

type Place = Mutex<OpenSpan>;

struct OpenSpan {
    /// `VACANT` if there is no span.
    id: u64,
    state: SpanState,
}

/// Not the id of a span.
const VACANT: u64 = 0;

impl Default for OpenSpan {
    fn default() -> Self {
        Self {
            id: VACANT,
            state: SpanState::vacant(),
        }
    }
}

impl OpenSpans {
    /// Returns the place of an open span, if its thread has created it.
    #[inline]
    fn place(&self, id: u64) -> Option<&Place> {
        let (thread, index) = thread_and_index(id)?;
        self.places.find(thread)?.find(index)
    }

    /// Returns the place for a new span.
    #[inline(always)]
    fn new_place(&self, id: u64) -> Option<&Place> {
        let (thread, index) = thread_and_index(id)?;
        self.places.get(thread)?.get(index)
    }

    /// Adds a span. Returns the previous span with the same id, if the layer did not receive its close.
    pub(super) fn insert(&self, id: u64, state: SpanState) -> Option<SpanState> {
        if let Some(place) = self.new_place(id) {
            let mut open = lock(place);
            if open.id == VACANT {
                *open = OpenSpan { id, state };
                return None;
            }
        }
        self.insert_taken(id, state)
    }

    /// Adds a new span like [`insert`](Self::insert). Takes its context. If it does not end at its last exit, its owner sets the
    /// end.
    #[inline(always)]
    pub(super) fn insert_new(
        &self,
        id: u64,
        context: &mut Context,
        recording: Recording,
        ends_at_exit: bool,
    ) -> Option<SpanState> {
        if let Some(place) = self.new_place(id) {
            let mut open = lock(place);
            if open.id == VACANT {
                open.id = id;
                open.state.open(context, recording, ends_at_exit);
                return None;
            }
        }
        let mut state = SpanState::new(Context::new(), Recording::Unsampled);
        state.open(context, recording, ends_at_exit);
        self.insert_taken(id, state)
    }

    /// Adds a span that has no place, or whose place is taken.
    #[cold]
    #[inline(never)]
    fn insert_taken(&self, id: u64, state: SpanState) -> Option<SpanState> {
        let stale = self.remove(id);
        let mut others = lock(&self.others);
        // A thread that receives the id from this thread sees the flag.
        self.has_others.store(true, Relaxed);
        others.insert(id, state);
        stale
    }

    /// Returns the result of `f` for a span, if it is recorded. `f` must not run code of the application, because the span is
    /// locked.
    #[inline]
    pub(super) fn with<T>(&self, id: u64, f: impl FnOnce(&mut SpanState) -> T) -> Option<T> {
        if let Some(place) = self.place(id)
            && let mut open = lock(place)
            && open.id == id
        {
            return Some(f(&mut open.state));
        }
        self.with_other(id, f)
    }

    #[cold]
    fn with_other<T>(&self, id: u64, f: impl FnOnce(&mut SpanState) -> T) -> Option<T> {
        if !self.has_others.load(Relaxed) {
            return None;
        }
        lock(&self.others).get_mut(&id).map(f)
    }

    /// Removes a span.
    pub(super) fn remove(&self, id: u64) -> Option<SpanState> {
        if let Some(place) = self.place(id)
            && let mut open = lock(place)
            && open.id == id
        {
            return Some(mem::take(&mut *open).state);
        }
        self.remove_other(id)
    }

    /// Removes a span that has a place, and calls `f` with context, recording and last exit. Returns `false` if there is none.
    #[inline(always)]
    pub(super) fn remove_placed(
        &self,
        id: u64,
        f: impl FnOnce(Context, Recording, Option<Instant>),
    ) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        let mut open = lock(place);
        if open.id != id {
            return false;
        }
        open.id = VACANT;
        let (context, recording, last_exit) = open.state.take_parts();
        drop(open);
        f(context, recording, last_exit);
        true
    }

    /// Removes a span that has no place.
    #[cold]
    pub(super) fn remove_other(&self, id: u64) -> Option<SpanState> {
        if !self.has_others.load(Relaxed) {
            return None;
        }
        lock(&self.others).remove(&id)
    }
}

/// Returns the thread and the index of a span. Returns `None` for a span without a place.
#[inline]
fn thread_and_index(id: u64) -> Option<(usize, usize)> {
    let id = id.wrapping_sub(1);
    let index = id & ((1 << INDEX_BITS) - 1);
    if index >= MAX_SPANS {
        return None;
    }
    let thread = (id >> INDEX_BITS) & ((1 << THREAD_BITS) - 1);
    Some((usize::try_from(thread).ok()?, usize::try_from(index).ok()?))
}

#[inline]
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for OpenSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpans").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tracing_subscriber::layer::{Identity, SubscriberExt};

    use super::*;

    fn state() -> SpanState {
        SpanState::new(Context::new(), Recording::Unsampled)
    }

    /// Returns the id of the first span that a thread opens, after it has opened a number of spans.
    const fn id(thread: u64, reused: u64) -> u64 {
        1 + (thread << INDEX_BITS) + (reused << (INDEX_BITS + THREAD_BITS))
    }

    #[test]
    fn a_span_is_found_until_it_is_removed() {
        let spans = OpenSpans::default();
        let ids = [id(0, 0), id(0, 0) + 1, id(1, 0), id(7, 3), u64::MAX];
        for id in ids {
            assert!(spans.insert(id, state()).is_none());
        }
        for id in ids {
            assert!(spans.with(id, |_| ()).is_some());
            assert!(spans.remove(id).is_some());
            assert!(spans.with(id, |_| ()).is_none() && spans.remove(id).is_none());
        }
    }

    #[test]
    fn a_span_whose_close_was_not_announced_disturbs_no_other() {
        let spans = OpenSpans::default();
        for reused in 0..5 {
            assert!(spans.insert(id(0, reused), state()).is_none());
        }
        // The first id again.
        assert!(spans.insert(id(0, 0), state()).is_some());
        for reused in 0..5 {
            assert!(spans.with(id(0, reused), |_| ()).is_some());
        }
        for reused in 0..5 {
            assert!(spans.remove(id(0, reused)).is_some());
            assert!(spans.remove(id(0, reused)).is_none());
        }
    }

    fn places(spans: &OpenSpans) -> usize {
        spans
            .places
            .iter()
            .map(|places| places.iter().count())
            .sum()
    }

    #[test]
    fn a_span_that_is_searched_in_vain_gets_no_place() {
        let spans = OpenSpans::default();
        assert!(spans.with(id(20, 0) + 500, |_| ()).is_none());
        assert!(spans.remove(id(20, 0) + 500).is_none());
        assert_eq!((spans.places.iter().count(), places(&spans)), (0, 0));
    }

    #[test]
    fn ids_that_count_up_have_a_bounded_number_of_places() {
        let spans = OpenSpans::default();
        for id in (0..40).map(|bits| 1 << bits) {
            assert!(spans.insert(id, state()).is_none());
            assert!(spans.with(id, |_| ()).is_some());
            assert!(spans.remove(id).is_some());
        }
        assert!(places(&spans) <= 2 * usize::try_from(MAX_SPANS).unwrap());
    }

    #[test]
    fn the_registry_reuses_the_places_of_each_thread() {
        let ids = || {
            let open = |_| tracing::info_span!("span").id().map(|id| id.into_u64());
            (0..100).filter_map(open).collect::<Vec<_>>()
        };
        // The registry reuses ids only in a stack of layers.
        let subscriber = tracing_subscriber::registry().with(Identity::new());
        tracing::subscriber::with_default(subscriber, || {
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            let here = ids();
            let there =
                std::thread::spawn(move || tracing::dispatcher::with_default(&dispatch, ids));
            let there = there.join().unwrap();
            let places = [here, there].map(|ids| {
                assert_eq!(ids.len(), 100);
                ids.into_iter()
                    .map(|id| thread_and_index(id).unwrap())
                    .collect::<Vec<_>>()
            });
            let threads = places.each_ref().map(|places| places.first().unwrap().0);
            assert_ne!(threads[0], threads[1]);
            for (places, thread) in places.iter().zip(threads) {
                assert!(places.iter().all(|place| place.0 == thread && place.1 < 32));
            }
        });
    }
}
