//! Limits how many scrapes are rendered at a time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The maximum number of concurrent scrapes. Two Prometheus servers with a few retries need fewer.
pub(crate) const MAX_SCRAPES: usize = 16;

/// The age from which a new scrape may evict this one. Prometheus stops reading after 10 seconds by default.
const EVICTABLE_AFTER: Duration = Duration::from_secs(10);

/// The scrapes that are being read. Shared by all services of a recorder.
#[derive(Debug, Default)]
pub(crate) struct Scrapes(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    next_id: u64,
    /// Identifier and start of each scrape, from the oldest to the newest.
    scrapes: Vec<(u64, Instant)>,
}

/// Permits one scrape. Dropping it allows another scrape.
#[derive(Debug)]
pub(crate) struct ScrapePermit {
    scrapes: Arc<Scrapes>,
    id: u64,
}

impl Scrapes {
    /// Returns a permit, or `None` if all are taken. If all are taken and the oldest scrape has reached
    /// [`EVICTABLE_AFTER`], it is evicted. So slow readers block others for at most 10 seconds, unless they start
    /// new scrapes.
    pub(crate) fn begin(self: &Arc<Self>, now: Instant) -> Option<ScrapePermit> {
        let mut running = self.lock();
        if running.scrapes.len() >= MAX_SCRAPES {
            let (_, oldest) = *running.scrapes.first()?;
            if now.saturating_duration_since(oldest) < EVICTABLE_AFTER {
                return None;
            }
            running.scrapes.remove(0);
        }
        let id = running.next_id;
        running.next_id = id.wrapping_add(1);
        running.scrapes.push((id, now));
        drop(running);
        Some(ScrapePermit {
            scrapes: Arc::clone(self),
            id,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScrapePermit {
    /// Returns `false` once the scrape has been evicted.
    pub(crate) fn is_valid(&self) -> bool {
        let running = self.scrapes.lock();
        running.scrapes.iter().any(|(id, _)| *id == self.id)
    }
}

impl Drop for ScrapePermit {
    fn drop(&mut self) {
        let mut running = self.scrapes.lock();
        running.scrapes.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_available_again_when_its_scrape_ends() {
        let (scrapes, now) = (Arc::new(Scrapes::default()), Instant::now());
        let mut permits: Vec<_> = (0..MAX_SCRAPES)
            .map(|_| scrapes.begin(now).unwrap())
            .collect();
        assert!(scrapes.begin(now).is_none());
        permits.pop();
        permits.push(scrapes.begin(now).unwrap());
        assert!(scrapes.begin(now).is_none());
        assert!(permits.iter().all(ScrapePermit::is_valid));
    }

    #[test]
    fn the_oldest_scrape_is_evicted_after_ten_seconds() {
        let (scrapes, now) = (Arc::new(Scrapes::default()), Instant::now());
        let permits: Vec<_> = (0..MAX_SCRAPES)
            .map(|_| scrapes.begin(now).unwrap())
            .collect();
        let later = now + EVICTABLE_AFTER;
        assert!(scrapes.begin(later - Duration::from_millis(1)).is_none());
        let permit = scrapes.begin(later).unwrap();
        assert!(permit.is_valid());
        let valid: Vec<_> = permits.iter().map(ScrapePermit::is_valid).collect();
        let expected: Vec<_> = (0..MAX_SCRAPES).map(|index| index > 0).collect();
        assert_eq!(valid, expected, "the first is the oldest");
    }
}
