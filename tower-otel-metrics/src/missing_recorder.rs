//! The warning that the `metrics` facade has no recorder.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_EXPECTED: AtomicBool = AtomicBool::new(false);

/// Disables the warning that the `metrics` facade has no recorder. Called if the configuration disables metrics.
pub fn expect_no_recorder() {
    IS_EXPECTED.store(true, Relaxed);
}

/// Whether a layer has warned that the facade has no recorder.
#[derive(Debug, Default)]
pub(crate) struct MissingRecorder {
    has_warned: AtomicBool,
}

impl MissingRecorder {
    /// Warns once, unless the configuration disables metrics. `uncounted` names the exchanges that are not counted.
    #[cold]
    pub(crate) fn warn(&self, metric: &str, uncounted: &str) {
        if !IS_EXPECTED.load(Relaxed) && !self.has_warned.swap(true, Relaxed) {
            tracing::warn!(
                metric,
                "no recorder is installed for the `metrics` facade: {uncounted} that end before one is installed are not counted"
            );
        }
    }
}
