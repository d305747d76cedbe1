//! Flushes and stops telemetry.

use std::error::Error;
use std::fmt;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::drop_counts::DropCounts;
use crate::telemetry::Telemetry;

/// The timeout of a shutdown by drop.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Exports everything recorded so far, and stops. What is not exported within the timeout is
    /// dropped and counted.
    ///
    /// This blocks the thread, at most for the timeout. It may be called on any thread of any
    /// runtime: exports run on a thread of their own. Later calls return the same result at once.
    ///
    /// # Errors
    ///
    /// If spans or log records were dropped, now or before.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
        if !self.shut_down.swap(true, SeqCst) {
            let in_time = self.flush(timeout);
            if let Some(runtime) = &self.export_runtime {
                runtime.stop();
            }
            for drops in [&self.span_drops, &self.log_record_drops]
                .into_iter()
                .flatten()
            {
                drops.close();
                drops.publish();
            }
            if let Err(error) = self.shutdown_result() {
                tracing::warn!("telemetry shut down: {error}");
            }
            if !in_time {
                tracing::warn!(
                    "telemetry shutdown timed out after {timeout:?}; what was not exported is \
                     dropped"
                );
            }
        }
        self.shutdown_result()
    }

    fn shutdown_result(&self) -> Result<(), ShutdownError> {
        let error = ShutdownError {
            dropped_spans: self.dropped_spans(),
            dropped_log_records: self.dropped_log_records(),
        };
        if error.dropped_spans.total() + error.dropped_log_records.total() == 0 {
            Ok(())
        } else {
            Err(error)
        }
    }

    /// Shuts down all signals at once and returns whether they finished in time. Each has a thread of
    /// its own, because not every provider keeps to the timeout.
    fn flush(&self, timeout: Duration) -> bool {
        let (done, all_done) = mpsc::channel::<()>();
        let spawn = |flush: Box<dyn FnOnce() + Send>| {
            let done = done.clone();
            let name = "tower-otel-flush".to_owned();
            let _ = thread::Builder::new().name(name).spawn(move || {
                flush();
                drop(done);
            });
        };
        if let Some(traces) = self.tracer_provider.clone() {
            spawn(Box::new(move || {
                drop(traces.shutdown_with_timeout(timeout))
            }));
        }
        if let Some(metrics) = self.meter_provider.clone() {
            spawn(Box::new(move || {
                drop(metrics.shutdown_with_timeout(timeout))
            }));
        }
        #[cfg(feature = "logs")]
        if let Some(logs) = self.logger_provider.clone() {
            spawn(Box::new(move || drop(logs.shutdown_with_timeout(timeout))));
        }
        #[cfg(feature = "prometheus")]
        if let Some(printer) = self
            .metrics_printer
            .lock()
            .ok()
            .and_then(|mut printer| printer.take())
        {
            spawn(Box::new(move || drop(printer)));
        }
        drop(done);
        // No thread sends a message: the channel disconnects when the last one finishes.
        all_done.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.shutdown(DROP_TIMEOUT);
    }
}

/// The error of a shutdown: spans or log records were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownError {
    /// The number of dropped spans.
    pub dropped_spans: DropCounts,
    /// The number of dropped log records.
    pub dropped_log_records: DropCounts,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dropped_spans: spans,
            dropped_log_records: records,
        } = self;
        write!(f, "{} spans were dropped ({spans})", spans.total())?;
        match records.total() {
            0 => Ok(()),
            total => write!(f, "; {total} log records were dropped ({records})"),
        }
    }
}

impl Error for ShutdownError {}
