//! Limits the number of response bodies. A body that is not read loses its place and its content to another body.

use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

/// The time after which a body that is not read can lose its place.
const STALL_LIMIT: Duration = Duration::from_secs(15);

/// A limited number of places for bodies. A client can stop reading a body for any length of time. The application's server
/// does not poll the body then, so the body cannot end itself.
pub(crate) struct BodyPlaces<T> {
    taken: Mutex<Vec<Weak<Mutex<Place<T>>>>>,
    max: usize,
}

/// The content of a body. It is available until the body is dropped or loses its place.
pub(crate) struct Placed<T>(Arc<Mutex<Place<T>>>);

struct Place<T> {
    content: Option<T>,
    /// The time of the last read.
    read: Instant,
}

impl<T> BodyPlaces<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            taken: Mutex::default(),
            max,
        }
    }

    /// Takes a place. Returns `None` if every place has a body that is being read.
    pub(crate) fn take(&self, content: T, now: Instant) -> Option<Placed<T>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|place| place.strong_count() > 0);
        if taken.len() >= self.max {
            let lost = taken.iter().position(|place| lose_stalled(place, now))?;
            taken.swap_remove(lost);
        }
        let place = Arc::new(Mutex::new(Place {
            content: Some(content),
            read: now,
        }));
        taken.push(Arc::downgrade(&place));
        Some(Placed(place))
    }
}

/// Drops the content of a body that has not been read for [`STALL_LIMIT`]. Returns whether its place is free.
fn lose_stalled<T>(place: &Weak<Mutex<Place<T>>>, now: Instant) -> bool {
    let Some(place) = place.upgrade() else {
        return true;
    };
    let mut place = match place.try_lock() {
        Ok(place) => place,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // The body is being read.
        Err(TryLockError::WouldBlock) => return false,
    };
    let is_stalled = now.saturating_duration_since(place.read) >= STALL_LIMIT;
    if is_stalled {
        place.content = None;
    }
    is_stalled
}

impl<T> Placed<T> {
    /// Reads the content. Returns `None` if it has lost its place.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.read = Instant::now();
        place.content.as_mut().map(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_not_read_loses_its_place_and_its_content() {
        let places = BodyPlaces::new(2);
        let now = Instant::now();
        let content = Arc::new(());
        let stalled = places.take(Arc::clone(&content), now).unwrap();
        let read = places.take(Arc::default(), now + STALL_LIMIT).unwrap();
        assert!(places.take(Arc::default(), now + STALL_LIMIT / 2).is_none());
        let third = places.take(Arc::default(), now + STALL_LIMIT).unwrap();
        assert_eq!(Arc::strong_count(&content), 1);
        assert_eq!(stalled.read(|_| ()), None);
        assert_eq!(read.read(|_| ()), Some(()));
        assert_eq!(third.read(|_| ()), Some(()));
    }

    #[test]
    fn a_dropped_body_frees_its_place() {
        let places = BodyPlaces::new(1);
        let now = Instant::now();
        for _ in 0..3 {
            assert!(places.take((), now).is_some());
        }
        let _taken = places.take((), now).unwrap();
        assert!(places.take((), now).is_none());
    }
}
