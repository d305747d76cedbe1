//! The values that the keep rules read from the record of an ended span.

use std::time::Duration;

use opentelemetry::trace::Status;

use crate::{
    clock::{Clocks, Timestamp},
    record::SpanRecord,
};

impl SpanRecord {
    /// Returns whether the status is `Error`.
    pub(super) fn has_failed(&self) -> bool {
        if !self.has_extras() {
            return false;
        }
        let extras = [&self.extras, &self.context_extras];
        let mut statuses = extras.into_iter().flatten().map(|extras| &extras.status);
        // `Ok` is higher than `Error`.
        let is_ok = statuses.clone().any(|status| *status == Status::Ok);
        !is_ok && statuses.any(|status| matches!(status, Status::Error { .. }))
    }

    /// Returns the time from the start to the end.
    pub(super) fn duration(&self) -> Duration {
        let early = || {
            let extras = [&self.extras, &self.context_extras];
            extras.into_iter().flatten().find_map(|extras| extras.ended)
        };
        let early = self.has_extras().then(early).flatten();
        match (self.started, early.map_or(self.ended, Timestamp::System)) {
            (Timestamp::Instant(start), Timestamp::Instant(end)) => {
                end.saturating_duration_since(start)
            }
            (start, end) => {
                let clocks = Clocks::read();
                let (start, end) = (clocks.system_time(start), clocks.system_time(end));
                end.duration_since(start).unwrap_or_default()
            }
        }
    }

    /// Returns whether the span has extras. Most spans have none.
    const fn has_extras(&self) -> bool {
        self.extras.is_some() || self.context_extras.is_some()
    }
}
