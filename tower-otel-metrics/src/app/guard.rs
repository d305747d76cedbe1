//! What ends with its scope.

use std::time::Instant;

use metrics::{Gauge, Label};

use super::describe_once;

/// Measures until it is dropped, and records then.
#[derive(Debug)]
#[must_use = "a timer that is dropped at once has measured nothing"]
pub struct Timer {
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
        describe_once();
        let seconds = self.start.elapsed().as_secs_f64();
        metrics::histogram!(self.name, std::mem::take(&mut self.labels)).record(seconds);
    }
}

/// One of something there is at this time, until it is dropped.
#[must_use = "what is dropped at once was never counted"]
pub struct Active {
    /// The one that was counted in, whichever recorder there is when it is counted out.
    gauge: Gauge,
}

impl Active {
    pub(super) fn start(name: &'static str) -> Self {
        describe_once();
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

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Active").finish_non_exhaustive()
    }
}
