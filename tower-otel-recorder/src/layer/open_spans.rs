//! The open spans of a layer.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::span_state::SpanState;
use crate::{
    shards::Shards,
    sync::{Mutex, MutexGuard},
};

/// How many bits of an id of the registry are the index of a span among those that its thread has opened. The thread is in
/// the bits above, and those above the thread differ each time an index is reused.
///
/// If a later version of the registry makes other ids, more spans are in `others`.
const INDEX_BITS: u32 = 38;
const THREAD_BITS: u32 = 13;

/// The open spans of a layer, by the id that the registry gives to each.
///
/// The layer does not store them in the extensions of the registry: those cost an allocation for each span, and two more
/// locks for each access.
#[derive(Default)]
pub(super) struct OpenSpans {
    /// A list for each thread that opens spans.
    places: Shards<Shards<Place>>,
    /// Spans whose place is taken by another one: its close was not announced to the layer.
    others: Mutex<HashMap<u64, SpanState>>,
    has_others: AtomicBool,
}

type Place = Mutex<Option<OpenSpan>>;

struct OpenSpan {
    id: u64,
    state: SpanState,
}

impl OpenSpans {
    #[inline]
    fn place(&self, id: u64) -> Option<&Place> {
        let id = id.wrapping_sub(1);
        let index = id & ((1 << INDEX_BITS) - 1);
        let thread = (id >> INDEX_BITS) & ((1 << THREAD_BITS) - 1);
        let places = self.places.get(usize::try_from(thread).ok()?)?;
        places.get(usize::try_from(index).ok()?)
    }

    /// Adds a span. Returns the one that had the same id, if its close was not announced.
    #[inline]
    pub(super) fn insert(&self, id: u64, state: SpanState) -> Option<SpanState> {
        if let Some(place) = self.place(id) {
            let mut place = lock(place);
            if place.is_none() {
                *place = Some(OpenSpan { id, state });
                return None;
            }
        }
        self.insert_taken(id, state)
    }

    /// Adds a span whose place is taken.
    #[cold]
    fn insert_taken(&self, id: u64, state: SpanState) -> Option<SpanState> {
        let stale = self.remove(id);
        let mut others = lock(&self.others);
        // A thread that gets the id from this one sees it.
        self.has_others.store(true, Relaxed);
        others.insert(id, state);
        stale
    }

    /// Returns what `f` returns for a span, if it is recorded. `f` must not run code of the application: the span is locked.
    #[inline]
    pub(super) fn with<T>(&self, id: u64, f: impl FnOnce(&mut SpanState) -> T) -> Option<T> {
        if let Some(place) = self.place(id)
            && let Some(open) = &mut *lock(place)
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
    #[inline]
    pub(super) fn remove(&self, id: u64) -> Option<SpanState> {
        if let Some(place) = self.place(id) {
            let mut place = lock(place);
            if place.as_ref().is_some_and(|open| open.id == id) {
                return place.take().map(|open| open.state);
            }
        }
        self.remove_other(id)
    }

    #[cold]
    fn remove_other(&self, id: u64) -> Option<SpanState> {
        if !self.has_others.load(Relaxed) {
            return None;
        }
        lock(&self.others).remove(&id)
    }
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
    use opentelemetry::Context;

    use super::*;
    use crate::layer::span_state::Recording;

    fn state() -> SpanState {
        SpanState::new(Context::new(), Recording::Unsampled)
    }

    /// The id of the first span that a thread opens, after it has opened so many.
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
        // The first id once more.
        assert!(spans.insert(id(0, 0), state()).is_some());
        for reused in 0..5 {
            assert!(spans.with(id(0, reused), |_| ()).is_some());
        }
        for reused in 0..5 {
            assert!(spans.remove(id(0, reused)).is_some());
            assert!(spans.remove(id(0, reused)).is_none());
        }
    }
}
