//! Telemetry in a child of `fork`, which has the memory of its parent and only the thread that called `fork`.

use std::mem;
use std::process;

use crate::running_telemetry::RunningTelemetry;

/// The error text of a flush or a shutdown in a fork.
pub(crate) const IN_FORK: &str = "telemetry was started in another process and exports nothing in its fork; \
                                  start telemetry in each process after the fork, and not in the parent before it";

impl RunningTelemetry {
    /// Returns whether this process is a fork of the process that started telemetry. In a fork, locks may stay locked forever.
    pub(crate) fn is_in_fork(&self) -> bool {
        process::id() != self.process_id
    }

    /// Leaks the values whose drop waits for a thread.
    pub(crate) fn forget_threads(&mut self) {
        mem::forget(self.meter_provider.take());
        #[cfg(feature = "logs")]
        mem::forget(self.logger_provider.take());
        #[cfg(feature = "prometheus")]
        mem::forget(mem::take(&mut self.metrics_printer));
        #[cfg(feature = "prometheus")]
        mem::forget(mem::take(&mut self.metrics_pusher));
        #[cfg(feature = "page")]
        mem::forget(mem::take(&mut self.page_server));
        mem::forget(self.export_runtime.take());
    }
}
