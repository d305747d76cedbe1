//! Stops telemetry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkError;

use crate::drop_counts::DropCounts;
use crate::fork::IN_FORK;
use crate::running_telemetry::RunningTelemetry;
use crate::shutdown_progress::{Phase, Task};

/// The timeout of a shutdown by drop.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);
/// The age below which dropping telemetry without a span is probably a mistake, and logs a warning.
const AT_ONCE: Duration = Duration::from_millis(5);
/// The timeout of the providers of metrics and log records. Each caller limits its own wait.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

impl RunningTelemetry {
    /// Exports everything recorded so far, and stops.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
        if self.is_in_fork() {
            return Err(ShutdownError::in_fork());
        }
        let started = Instant::now();
        {
            let mut state = self.shutdown.state();
            if state.phase == Phase::Finished {
                return self.shutdown_result(true);
            }
            state.waiting += 1;
            if state.phase == Phase::Running {
                state.phase = Phase::Stopping;
                self.shutdown
                    .spawn(self.shutdown_tasks(timeout / 2), &mut state);
            }
        }
        let spans = self
            .spans
            .as_ref()
            .map(|spans| spans.recorder.shutdown(timeout));
        let mut in_time = !matches!(spans, Some(Err(OTelSdkError::Timeout(_))));
        if in_time {
            self.shutdown.end_spans();
        }
        let mut state = self
            .shutdown
            .wait(timeout.saturating_sub(started.elapsed()));
        in_time &= state.threads == 0;
        state.waiting -= 1;
        let is_last = state.waiting == 0;
        let finishes = state.phase != Phase::Finished && (in_time || is_last);
        if finishes {
            state.phase = Phase::Finished;
            self.stop_exports();
        }
        let is_finished = state.phase == Phase::Finished;
        drop(state);
        self.publish_sdk_metrics();
        self.shutdown.notify();
        let result = self.shutdown_result(is_finished);
        if finishes {
            log_shutdown(&result, in_time, timeout);
        }
        result
    }

    /// Returns the tasks that shut down metrics and log records. The tasks of metrics wait at most `timeout` for the shutdown of
    /// the spans, so that the metrics count the last spans.
    fn shutdown_tasks(&self, timeout: Duration) -> Vec<Task> {
        let after_spans = |task: Task| -> Task {
            let progress = Arc::clone(&self.shutdown);
            Box::new(move || {
                progress.wait_for_spans(timeout);
                task();
            })
        };
        let mut tasks: Vec<Task> = Vec::new();
        if let Some(metrics) = self.meter_provider.clone() {
            tasks.push(after_spans(Box::new(move || {
                drop(metrics.shutdown_with_timeout(PROVIDER_TIMEOUT));
            })));
        }
        #[cfg(feature = "logs")]
        if let Some(logs) = self.logger_provider.clone() {
            tasks.push(Box::new(move || {
                drop(logs.shutdown_with_timeout(PROVIDER_TIMEOUT));
            }));
        }
        #[cfg(feature = "prometheus")]
        if let Some(pusher) = self
            .metrics_pusher
            .lock()
            .ok()
            .and_then(|mut pusher| pusher.take())
        {
            tasks.push(after_spans(Box::new(move || drop(pusher))));
        }
        #[cfg(feature = "prometheus")]
        if let Some(printer) = self
            .metrics_printer
            .lock()
            .ok()
            .and_then(|mut printer| printer.take())
        {
            tasks.push(after_spans(Box::new(move || drop(printer))));
        }
        tasks
    }

    /// Stops running exports. Items that they have not delivered are counted as dropped.
    fn stop_exports(&self) {
        if let Some(runtime) = &self.export_runtime {
            runtime.stop();
        }
        #[cfg(feature = "logs")]
        if let Some(drops) = &self.log_record_drops {
            drops.close();
        }
        #[cfg(feature = "page")]
        drop(self.page_server.lock().map(|mut server| server.take()));
    }

    fn shutdown_result(&self, is_finished: bool) -> Result<(), ShutdownError> {
        let error = ShutdownError {
            dropped_spans: self.dropped_spans(),
            dropped_log_records: self.dropped_log_records(),
            is_finished,
            is_in_fork: false,
        };
        let dropped = error.dropped_spans.total() + error.dropped_log_records.total();
        if dropped == 0 && is_finished {
            Ok(())
        } else {
            Err(error)
        }
    }
}

fn log_shutdown(result: &Result<(), ShutdownError>, in_time: bool, timeout: Duration) {
    if let Err(error) = result {
        tracing::warn!("telemetry shut down: {error}");
    }
    if !in_time {
        tracing::warn!(
            "telemetry shutdown timed out after {timeout:?}; items that were not exported are dropped"
        );
    }
}

impl RunningTelemetry {
    /// Warns if telemetry is dropped immediately after its start, for example by a binding named `_`. Logs no warning if spans
    /// are not exported, because only the count of spans shows that telemetry was in use.
    fn warn_if_not_kept(&self) {
        let Some(spans) = self.spans.as_ref().filter(|spans| spans.counts_losses) else {
            return;
        };
        let has_spans = spans.recorder.counts().started > 0;
        let is_running = self.shutdown.state().phase == Phase::Running;
        let age = self.handed_over.map(|at| at.elapsed());
        let is_at_once = is_running && !has_spans && !std::thread::panicking();
        if let Some(age) = age.filter(|age| is_at_once && *age < AT_ONCE) {
            tracing::warn!(
                "telemetry was dropped {} ms after its start. If `main` has not returned an error, keep it until the end of \
                 `main`, in a binding such as `_telemetry`: a binding named `_` drops it immediately",
                age.as_millis()
            );
        }
    }
}

impl Drop for RunningTelemetry {
    fn drop(&mut self) {
        if self.is_in_fork() {
            self.forget_threads();
            return;
        }
        self.warn_if_not_kept();
        let _ = self.shutdown(DROP_TIMEOUT);
    }
}

/// The error of a shutdown: spans or log records have been dropped since the start, the shutdown is not finished, or the
/// process is a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
#[non_exhaustive]
pub struct ShutdownError {
    /// The numbers of spans that were dropped since the start.
    pub dropped_spans: DropCounts,
    /// The numbers of log records that were dropped since the start.
    pub dropped_log_records: DropCounts,
    /// `false` if another caller still waits for the shutdown.
    is_finished: bool,
    /// Whether telemetry was started in another process. Then nothing is counted.
    is_in_fork: bool,
}

impl ShutdownError {
    fn in_fork() -> Self {
        Self {
            dropped_spans: DropCounts::default(),
            dropped_log_records: DropCounts::default(),
            is_finished: false,
            is_in_fork: true,
        }
    }

    fn text(&self) -> String {
        if self.is_in_fork {
            return IN_FORK.to_owned();
        }
        let (spans, records) = (self.dropped_spans, self.dropped_log_records);
        let progress = match self.is_finished {
            true => "",
            false => "the shutdown has not finished; so far, ",
        };
        let dropped = |counts: DropCounts, noun| match counts.total() {
            1 => format!("1 {noun} was dropped ({})", counts.text()),
            total => format!("{total} {noun}s were dropped ({})", counts.text()),
        };
        let spans = dropped(spans, "span");
        let records = match records.total() {
            0 => String::new(),
            _ => format!("; {}", dropped(records, "log record")),
        };
        format!("{progress}{spans}{records}")
    }
}
