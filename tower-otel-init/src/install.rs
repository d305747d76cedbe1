//! Whose telemetry it becomes: the process's, with a subscriber or without, or nobody's.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use opentelemetry::global;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::config::Config;
use crate::{Builder, InitError, Telemetry, log_lines as lines, propagation};

/// Layers for a `tracing` subscriber, one for each signal that wants one.
pub type Layers<S> = Vec<Box<dyn Layer<S> + Send + Sync>>;

static STARTED: AtomicBool = AtomicBool::new(false);

impl Builder {
    /// Starts everything and makes it the process's: subscriber, providers, propagator, recorder.
    ///
    /// # Errors
    ///
    /// If telemetry or another subscriber has been started already, a setting cannot be followed,
    /// or what is asked for is behind a feature that is not enabled. Nothing is changed then.
    pub fn install(self) -> Result<Telemetry, InitError> {
        if STARTED.swap(true, SeqCst) {
            return Err(InitError::AlreadyStarted);
        }
        self.install_first()
            .inspect_err(|_| STARTED.store(false, SeqCst))
    }

    fn install_first(&self) -> Result<Telemetry, InitError> {
        if tracing::dispatcher::has_been_set() {
            return Err(InitError::SubscriberInstalled);
        }
        let (telemetry, config) = self.start(true)?;
        let mut layers: Layers<Registry> = telemetry.layers(&config);
        layers.push(lines::layer(
            config.log_format,
            &config.log_filter,
            std::io::stdout,
        ));
        let subscriber = tracing_subscriber::registry().with(layers);
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|_| InitError::SubscriberInstalled)?;
        // Records of the crate `log`; whoever has a logger of their own keeps it.
        let _ = tracing_log::LogTracer::init();
        telemetry.take_over(&config);
        Ok(telemetry)
    }

    /// Starts everything, and returns the layers for the subscriber that the application has or
    /// makes, in place of installing one. Log lines are its matter.
    ///
    /// ```
    /// use tower_otel_init::{MetricsExporter, Telemetry, TracesExporter};
    /// use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (telemetry, layers) = Telemetry::builder("users")
    ///     .traces(TracesExporter::Console)
    ///     .layers()?;
    /// tracing_subscriber::registry()
    ///     .with(layers)
    ///     .with(tracing_subscriber::fmt::layer())
    ///     .init();
    /// # drop(telemetry);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`install`](Self::install), but for the subscriber.
    pub fn layers<S>(self) -> Result<(Telemetry, Layers<S>), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        if STARTED.swap(true, SeqCst) {
            return Err(InitError::AlreadyStarted);
        }
        let started = self.start(true);
        let (telemetry, config) = started.inspect_err(|_| STARTED.store(false, SeqCst))?;
        telemetry.take_over(&config);
        let layers = telemetry.layers(&config);
        Ok((telemetry, layers))
    }

    /// Starts everything, and leaves the process as it is: no subscriber, no provider and no
    /// propagator is made global, and no recorder installed. For tests, and as often as wanted.
    ///
    /// # Errors
    ///
    /// If a setting cannot be followed, or what is asked for is behind a feature that is not
    /// enabled.
    pub fn local<S>(self) -> Result<(Telemetry, Layers<S>), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let (telemetry, config) = self.start(false)?;
        let layers = telemetry.layers(&config);
        Ok((telemetry, layers))
    }
}

impl Telemetry {
    /// From here on, this is the telemetry of the process.
    fn take_over(&self, config: &Config) {
        global::set_text_map_propagator(propagation::propagator(&config.propagators));
        if let Some(traces) = &self.traces {
            global::set_tracer_provider(traces.clone());
        }
        if let Some(meters) = &self.meters {
            global::set_meter_provider(meters.clone());
        }
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}
