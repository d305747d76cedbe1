//! Flushes and stops telemetry.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::drop_counts::DropCounts;
use crate::telemetry::Telemetry;

/// The timeout of a shutdown by drop.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// How far the shutdown is. All callers of a shutdown wait for it.
#[derive(Debug, Default)]
pub(crate) struct ShutdownProgress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// The number of threads that shut a signal down. Spans have none: each caller waits for the recorder.
    threads: usize,
    /// The number of callers that wait.
    waiting: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    Stopping,
    Finished,
}

type Task = Box<dyn FnOnce() + Send>;

impl ShutdownProgress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs each task on a thread of its own, because not every provider keeps to its timeout.
    fn spawn(self: &Arc<Self>, tasks: Vec<Task>, state: &mut State) {
        for task in tasks {
            let progress = Arc::clone(self);
            let name = "tower-otel-flush".to_owned();
            let spawned = thread::Builder::new().name(name).spawn(move || {
                task();
                progress.state().threads -= 1;
                progress.changed.notify_all();
            });
            state.threads += usize::from(spawned.is_ok());
        }
    }

    /// Waits for the threads.
    fn wait(&self, timeout: Duration) -> MutexGuard<'_, State> {
        let is_busy = |state: &mut State| state.threads > 0 && state.phase != Phase::Finished;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), timeout, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Telemetry {
    /// Exports everything recorded so far and waits for it, at most for the timeout. Recording continues.
    ///
    /// Call it at the end of each invocation of a function whose process is frozen between calls.
    ///
    /// This blocks the thread. It may be called on any thread of any runtime.
    ///
    /// # Errors
    ///
    /// If spans or log records could not be exported, the export takes longer than `timeout`, or telemetry is shut
    /// down.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        let result = self.flush_signals(timeout);
        self.publish_sdk_metrics();
        result
    }

    fn flush_signals(&self, timeout: Duration) -> OTelSdkResult {
        let started = Instant::now();
        let (results, received) = mpsc::channel();
        let spawn = |flush: Box<dyn FnOnce() -> OTelSdkResult + Send>| {
            let sender = results.clone();
            let name = "tower-otel-flush".to_owned();
            let spawned = thread::Builder::new().name(name).spawn(move || {
                let _ = sender.send(flush());
            });
            if let Err(error) = spawned {
                let _ = results.send(Err(OTelSdkError::InternalFailure(error.to_string())));
            }
        };
        if let Some(metrics) = self.meter_provider.clone() {
            spawn(Box::new(move || metrics.force_flush()));
        }
        #[cfg(feature = "logs")]
        if let Some(logs) = self.logger_provider.clone() {
            spawn(Box::new(move || logs.force_flush()));
        }
        drop(results);
        let mut result = match &self.spans {
            Some(spans) => spans.recorder.flush(timeout),
            None => Ok(()),
        };
        loop {
            match received.recv_timeout(timeout.saturating_sub(started.elapsed())) {
                Ok(other) => result = result.and(other),
                Err(mpsc::RecvTimeoutError::Disconnected) => return result,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return result.and(Err(OTelSdkError::Timeout(timeout)));
                }
            }
        }
    }

    /// Exports everything recorded so far, and stops. What is not exported within the timeout is
    /// dropped and counted.
    ///
    /// This blocks the thread, at most for the timeout. It may be called on any thread of any
    /// runtime: exports run on a thread of their own. If several threads call it at the same time, all of them
    /// wait, and the last one whose timeout ends decides what is dropped. Later calls return the same result at
    /// once.
    ///
    /// # Errors
    ///
    /// If spans or log records were dropped, now or before, or if the timeout ended while another caller still waits.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
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
                    .spawn(self.shutdown_tasks(timeout), &mut state);
            }
        }
        let spans = self
            .spans
            .as_ref()
            .map(|spans| spans.recorder.shutdown(timeout));
        let mut in_time = !matches!(spans, Some(Err(OTelSdkError::Timeout(_))));
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
        self.shutdown.changed.notify_all();
        let result = self.shutdown_result(is_finished);
        if finishes {
            log_shutdown(&result, in_time, timeout);
        }
        result
    }

    /// Returns what shuts down metrics and log records.
    fn shutdown_tasks(&self, timeout: Duration) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        if let Some(metrics) = self.meter_provider.clone() {
            tasks.push(Box::new(move || {
                drop(metrics.shutdown_with_timeout(timeout));
            }));
        }
        #[cfg(feature = "logs")]
        if let Some(logs) = self.logger_provider.clone() {
            tasks.push(Box::new(move || drop(logs.shutdown_with_timeout(timeout))));
        }
        #[cfg(feature = "prometheus")]
        if let Some(printer) = self
            .metrics_printer
            .lock()
            .ok()
            .and_then(|mut printer| printer.take())
        {
            tasks.push(Box::new(move || drop(printer)));
        }
        tasks
    }

    /// Ends exports that are under way. What they leave is counted.
    fn stop_exports(&self) {
        if let Some(runtime) = &self.export_runtime {
            runtime.stop();
        }
        #[cfg(feature = "logs")]
        if let Some(drops) = &self.log_record_drops {
            drops.close();
        }
    }

    fn shutdown_result(&self, is_finished: bool) -> Result<(), ShutdownError> {
        let error = ShutdownError {
            dropped_spans: self.dropped_spans(),
            dropped_log_records: self.dropped_log_records(),
            is_finished,
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
            "telemetry shutdown timed out after {timeout:?}; what was not exported is dropped"
        );
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.shutdown(DROP_TIMEOUT);
    }
}

/// The error of a shutdown: spans or log records were dropped, or the shutdown is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownError {
    /// The number of dropped spans.
    pub dropped_spans: DropCounts,
    /// The number of dropped log records.
    pub dropped_log_records: DropCounts,
    /// `false` if another caller still waits for the shutdown.
    is_finished: bool,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spans, records) = (self.dropped_spans, self.dropped_log_records);
        if !self.is_finished {
            f.write_str("the shutdown has not finished; so far, ")?;
        }
        write!(f, "{} spans were dropped ({})", spans.total(), spans.text())?;
        match records.total() {
            0 => Ok(()),
            total => write!(f, "; {total} log records were dropped ({})", records.text()),
        }
    }
}

impl Error for ShutdownError {}
