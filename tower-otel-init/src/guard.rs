//! What was started, and how it stops.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
#[cfg(feature = "prometheus")]
use tower_otel_prometheus::Prometheus;

use crate::exports::Exports;
use crate::tally::{Dropped, Tally};
use crate::{Builder, InitError, Settings, Warning};

/// Telemetry that is running. Keep it until the end of `main`: when it is dropped, what has been
/// recorded is delivered, for up to five seconds.
#[must_use = "telemetry stops when this is dropped"]
pub struct Telemetry {
    pub(crate) traces: Option<SdkTracerProvider>,
    pub(crate) meters: Option<SdkMeterProvider>,
    #[cfg(feature = "logs")]
    pub(crate) logs: Option<opentelemetry_sdk::logs::SdkLoggerProvider>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<Prometheus>,
    #[cfg(feature = "prometheus")]
    pub(crate) printer: std::sync::Mutex<Option<crate::metrics::console::Printer>>,
    pub(crate) exports: Option<Exports>,
    pub(crate) tally: Option<Arc<Tally>>,
    pub(crate) log_tally: Option<Arc<Tally>>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) stopped: AtomicBool,
}

/// How long a drop waits.
const PATIENCE: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Nothing runs yet.
    pub(crate) fn idle(warnings: Vec<Warning>) -> Self {
        Self {
            traces: None,
            meters: None,
            #[cfg(feature = "logs")]
            logs: None,
            #[cfg(feature = "prometheus")]
            prometheus: None,
            #[cfg(feature = "prometheus")]
            printer: std::sync::Mutex::default(),
            exports: None,
            tally: None,
            log_tally: None,
            warnings,
            stopped: AtomicBool::new(false),
        }
    }

    /// Starts what the variables of the environment ask for. The service is called
    /// `OTEL_SERVICE_NAME`, and where that is not set, as it is called here.
    ///
    /// # Errors
    ///
    /// If telemetry or another subscriber has been started already, a variable of this crate is
    /// wrong, or what is asked for is behind a feature that is not enabled.
    pub fn from_env(service_name: &str) -> Result<Self, InitError> {
        Self::builder(service_name).install()
    }

    /// Telemetry to be configured. The service is called so unless `OTEL_SERVICE_NAME` or
    /// [`Builder::service_name`] says otherwise.
    pub fn builder(service_name: &str) -> Builder {
        Builder {
            settings: Settings {
                default_name: Some(service_name.to_owned()),
                ..Settings::default()
            },
        }
    }

    /// Reads what has been recorded through the `metrics` facade, and has the service behind
    /// `/metrics`. `None` where metrics go elsewhere or are off.
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn prometheus(&self) -> Option<&Prometheus> {
        self.prometheus.as_ref()
    }

    /// For `TraceLayer::server().tracer_provider(..)` and other libraries. `None` where spans are
    /// off.
    #[must_use]
    pub fn tracer_provider(&self) -> Option<&SdkTracerProvider> {
        self.traces.as_ref()
    }

    /// For `MetricsLayer::server().meter_provider(..)`. `None` unless metrics are pushed by OTLP.
    #[must_use]
    pub fn meter_provider(&self) -> Option<&SdkMeterProvider> {
        self.meters.as_ref()
    }

    /// How many spans were recorded and did not arrive, so far.
    #[must_use]
    pub fn dropped_spans(&self) -> Dropped {
        dropped(self.tally.as_ref())
    }

    /// How many log records were to be sent to a collector and did not arrive, so far.
    #[must_use]
    pub fn dropped_log_records(&self) -> Dropped {
        dropped(self.log_tally.as_ref())
    }

    /// What could not be followed in the environment.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Delivers what has been recorded, and stops; what is not delivered in time is lost and
    /// counted.
    ///
    /// This waits, for so long at most, and may do so on any thread: nothing it waits for runs on
    /// the runtime of the caller. After the first call it does nothing.
    ///
    /// # Errors
    ///
    /// If spans or log records were lost on the way, in this call or before.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), Unfinished> {
        if !self.stopped.swap(true, SeqCst) {
            let in_time = self.flush(timeout);
            if let Some(exports) = &self.exports {
                exports.stop();
            }
            for tally in [&self.tally, &self.log_tally].into_iter().flatten() {
                tally.close();
                tally.publish();
            }
            if let Err(unfinished) = self.finished() {
                tracing::warn!("telemetry stopped: {unfinished}");
            }
            if !in_time {
                tracing::warn!("telemetry could not be delivered within {timeout:?}");
            }
        }
        self.finished()
    }

    fn finished(&self) -> Result<(), Unfinished> {
        let unfinished = Unfinished {
            dropped: self.dropped_spans(),
            dropped_log_records: self.dropped_log_records(),
        };
        let lost = unfinished.dropped.total() + unfinished.dropped_log_records.total();
        if lost == 0 { Ok(()) } else { Err(unfinished) }
    }

    /// All signals at once, each on a thread of its own: not every one of them keeps to a time.
    fn flush(&self, timeout: Duration) -> bool {
        let (done, finished) = mpsc::channel::<()>();
        let start = |flush: Box<dyn FnOnce() + Send>| {
            let done = done.clone();
            let name = "tower-otel-flush".to_owned();
            let _ = thread::Builder::new().name(name).spawn(move || {
                flush();
                drop(done);
            });
        };
        if let Some(traces) = self.traces.clone() {
            start(Box::new(move || {
                drop(traces.shutdown_with_timeout(timeout))
            }));
        }
        if let Some(meters) = self.meters.clone() {
            start(Box::new(move || {
                drop(meters.shutdown_with_timeout(timeout))
            }));
        }
        #[cfg(feature = "logs")]
        if let Some(logs) = self.logs.clone() {
            start(Box::new(move || drop(logs.shutdown_with_timeout(timeout))));
        }
        #[cfg(feature = "prometheus")]
        if let Some(printer) = self.printer.lock().ok().and_then(|mut own| own.take()) {
            start(Box::new(move || drop(printer)));
        }
        drop(done);
        // Nothing is ever sent: the last one to finish hangs up.
        finished.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

fn dropped(tally: Option<&Arc<Tally>>) -> Dropped {
    tally.map(|tally| tally.dropped()).unwrap_or_default()
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.shutdown(PATIENCE);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("dropped_spans", &self.dropped_spans())
            .field("dropped_log_records", &self.dropped_log_records())
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Spans or log records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// How many spans, and why.
    pub dropped: Dropped,
    /// How many log records, and why.
    pub dropped_log_records: Dropped,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dropped,
            dropped_log_records,
        } = self;
        write!(f, "{} spans were lost: {dropped}", dropped.total())?;
        match dropped_log_records.total() {
            0 => Ok(()),
            lost => write!(f, "; {lost} log records were lost: {dropped_log_records}"),
        }
    }
}

impl Error for Unfinished {}
