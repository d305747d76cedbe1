//! Times of spans, by the monotonic clock and by the system clock.

use std::time::{Instant, SystemTime};

/// A point in time of one of the two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timestamp {
    Instant(Instant),
    System(SystemTime),
}

/// One reading of both clocks, which converts between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    instant: Instant,
    system: SystemTime,
}

impl Clocks {
    /// Reads both clocks four times and returns the closest pair, because the thread can be interrupted between the two.
    pub(crate) fn read() -> Self {
        let read = |_| {
            let before = Instant::now();
            let system = SystemTime::now();
            let elapsed = before.elapsed();
            let instant = before + elapsed / 2;
            (elapsed, Self { instant, system })
        };
        let readings = [(); 4].map(read);
        let closest = readings.into_iter().min_by_key(|(elapsed, _)| *elapsed);
        closest.map_or_else(|| read(()).1, |(_, clocks)| clocks)
    }

    /// Returns the time of the system clock.
    pub(crate) fn system_time(&self, timestamp: Timestamp) -> SystemTime {
        let instant = match timestamp {
            Timestamp::System(time) => return time,
            Timestamp::Instant(instant) => instant,
        };
        let time = match instant.checked_duration_since(self.instant) {
            Some(since) => self.system.checked_add(since),
            None => self.system.checked_sub(self.instant - instant),
        };
        time.unwrap_or(self.system)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_are_converted_to_system_time() {
        let clocks = Clocks::read();
        for millis in [0, 1, 5_000] {
            let time = Duration::from_millis(millis);
            let later = clocks.system_time(Timestamp::Instant(clocks.instant + time));
            assert_eq!(later.duration_since(clocks.system).unwrap(), time);
        }
        let start = Instant::now();
        let (before, clocks, after) = (SystemTime::now(), Clocks::read(), SystemTime::now());
        let converted = clocks.system_time(Timestamp::Instant(start));
        assert!(converted <= after, "{converted:?} is after {after:?}");
        let early = before.duration_since(converted).unwrap_or_default();
        assert!(early < Duration::from_secs(1), "{converted:?}, {before:?}");
        assert_eq!(clocks.system_time(Timestamp::System(before)), before);
    }
}
