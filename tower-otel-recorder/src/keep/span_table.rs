//! A table from span ids to values, without a lock that spans share.

use std::{
    array, fmt,
    sync::{Arc, PoisonError},
};

use opentelemetry::SpanId;

use crate::sync::{
    Mutex, MutexGuard,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// The number of places in which a span id can be. Their ids are in one cache line.
pub(super) const PLACES: usize = 8;

/// The id of a free place. No span has it.
const FREE: u64 = 0;

/// The values of at most a fixed number of spans.
///
/// A span is found as long as it is in the table, by code that runs after it was inserted. The lock of
/// a place is taken only to insert, find and remove its span.
pub(super) struct SpanTable<T> {
    buckets: Box<[Bucket<T>]>,
}

#[repr(align(64))]
struct Bucket<T> {
    /// A place belongs to the [`Place`] whose insertion changed its id from [`FREE`], until that is dropped.
    ids: [AtomicU64; PLACES],
    values: [Mutex<Option<Arc<T>>>; PLACES],
}

/// The place of a span in a table. Dropping it removes the span.
pub(super) struct Place<'a, T> {
    id: &'a AtomicU64,
    value: &'a Mutex<Option<Arc<T>>>,
}

impl<T> SpanTable<T> {
    /// Returns a table with places for eight spans in each bucket. The number of buckets must be a power of two.
    pub(super) fn new(buckets: usize) -> Self {
        let bucket = |_| Bucket {
            ids: array::from_fn(|_| AtomicU64::new(FREE)),
            values: array::from_fn(|_| Mutex::new(None)),
        };
        Self {
            buckets: (0..buckets).map(bucket).collect(),
        }
    }

    /// Adds a span, until the place is dropped. Returns `None` if there is none of the first `places` of its bucket for it.
    #[inline]
    pub(super) fn insert(
        &self,
        span: SpanId,
        value: &Arc<T>,
        places: usize,
    ) -> Option<Place<'_, T>> {
        let new = number(span);
        if new == FREE {
            return None;
        }
        let is_taken = |id: &AtomicU64| {
            id.load(Relaxed) == FREE && id.compare_exchange(FREE, new, Acquire, Relaxed).is_ok()
        };
        let mut places = self.bucket(span)?.places().take(places);
        let (id, place) = places.find(|(id, _)| is_taken(id))?;
        *lock(place) = Some(Arc::clone(value));
        Some(Place { id, value: place })
    }

    /// Returns the first result of `find` for the values of the spans with this id. There is more than one if the id generator
    /// repeats ids. `find` must not run code of the application.
    #[inline]
    pub(super) fn find<R>(&self, span: SpanId, find: impl Fn(&Arc<T>) -> Option<R>) -> Option<R> {
        let wanted = number(span);
        let mut places = self.bucket(span)?.places();
        places.find_map(|(id, value)| match id.load(Relaxed) == wanted {
            true => lock(value).as_ref().and_then(&find),
            false => None,
        })
    }

    #[inline]
    fn bucket(&self, span: SpanId) -> Option<&Bucket<T>> {
        let [.., high, low] = span.to_bytes();
        let hash = usize::from(u16::from_be_bytes([high, low]));
        self.buckets.get(hash & self.buckets.len().wrapping_sub(1))
    }
}

impl<T> Bucket<T> {
    #[inline]
    fn places(&self) -> impl Iterator<Item = (&AtomicU64, &Mutex<Option<Arc<T>>>)> {
        self.ids.iter().zip(&self.values)
    }
}

impl<T> Drop for Place<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let removed = lock(self.value).take();
        self.id.store(FREE, Release);
        drop(removed);
    }
}

fn number(span: SpanId) -> u64 {
    u64::from_be_bytes(span.to_bytes())
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> fmt::Debug for Place<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl<T> fmt::Debug for SpanTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanTable")
            .field("places", &(self.buckets.len() * PLACES))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn value(table: &SpanTable<u64>, span: u64) -> Option<u64> {
        table.find(SpanId::from(span), |value| Some(**value))
    }

    #[test]
    fn spans_are_found_until_they_are_removed() {
        let table = SpanTable::new(64);
        let spans = 1..=200;
        let insert = |span| table.insert(SpanId::from(span), &Arc::new(span), PLACES);
        let mut places: Vec<_> = spans.clone().map(|span| insert(span).unwrap()).collect();
        assert!(spans.clone().all(|span| value(&table, span) == Some(span)));
        assert_eq!(value(&table, 201), None);
        places.drain(..100);
        let found = spans.filter(|span| value(&table, *span).is_some());
        assert!(found.eq(101..=200));
    }

    #[test]
    fn a_full_table_has_a_place_after_a_span_is_removed_and_frees_its_value() {
        let table = SpanTable::new(1);
        let shared = Arc::new(7);
        let insert = |span| table.insert(SpanId::from(span), &shared, PLACES);
        let places: Vec<_> = (1..=1_000).filter_map(insert).collect();
        assert_eq!((places.len(), Arc::strong_count(&shared)), (PLACES, 9));
        assert_eq!(value(&table, 1_000), None);
        drop(places);
        assert_eq!(Arc::strong_count(&shared), 1);
        let _place = insert(1_000).unwrap();
        assert_eq!(value(&table, 1_000), Some(7));
    }

    #[test]
    fn spans_with_the_same_id_are_distinguished_by_their_values() {
        let table = SpanTable::new(1);
        let span = SpanId::from(1);
        let _places = [2, 3].map(|value| table.insert(span, &Arc::new(value), PLACES));
        for wanted in [2, 3] {
            let found = table.find(span, |value| (**value == wanted).then_some(**value));
            assert_eq!(found, Some(wanted));
        }
    }

    #[test]
    fn an_invalid_id_is_not_inserted() {
        let table = SpanTable::new(1);
        assert!(
            table
                .insert(SpanId::INVALID, &Arc::new(7), PLACES)
                .is_none()
        );
        assert_eq!(value(&table, 0), None);
    }
}
