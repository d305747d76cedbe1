//! Flushes telemetry.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::fork::IN_FORK;
#[cfg(feature = "prometheus")]
use crate::metrics_pusher;
use crate::running_telemetry::RunningTelemetry;

impl RunningTelemetry {
    /// Exports everything recorded so far and waits for it.
    pub(crate) fn flush(&self, timeout: Duration) -> OTelSdkResult {
        if self.is_in_fork() {
            return Err(OTelSdkError::InternalFailure(IN_FORK.to_owned()));
        }
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
        #[cfg(feature = "prometheus")]
        if let Some(flushes) = self
            .metrics_pusher
            .lock()
            .ok()
            .and_then(|pusher| pusher.as_ref()?.flushes())
        {
            spawn(Box::new(move || metrics_pusher::flush(&flushes)));
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
}
