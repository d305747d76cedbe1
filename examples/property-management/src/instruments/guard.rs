//! Guards that record when dropped.

use std::time::Instant;

use metrics::{Gauge, Label};

/// Records the time since its creation when it is dropped.
#[must_use = "a timer that is dropped immediately measures nothing"]
pub(crate) struct Timer {
    name: &'static str,
    labels: Vec<Label>,
    start: Instant,
}

impl Timer {
    pub(super) fn start(name: &'static str, labels: Vec<Label>) -> Self {
        Self {
            name,
            labels,
            start: Instant::now(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        metrics::histogram!(self.name, std::mem::take(&mut self.labels)).record(seconds);
    }
}

/// Increments a gauge, and decrements it when it is dropped.
#[must_use = "a guard that is dropped immediately counts nothing"]
pub(crate) struct Active {
    /// The handle that was incremented. The current recorder may have changed when the guard is dropped.
    gauge: Gauge,
}

impl Active {
    pub(super) fn start(name: &'static str) -> Self {
        let gauge = metrics::gauge!(name);
        gauge.increment(1.0);
        Self { gauge }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}
