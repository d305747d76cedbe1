//! Starts telemetry for the process, as layers, or locally.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use opentelemetry::global;
use opentelemetry_semantic_conventions::resource as key;
use tracing::Subscriber;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::builder::TelemetryBuilder;
use crate::config::Config;
use crate::error::InitError;
use crate::layers::Layers;
use crate::metrics_config::MetricsConfig;
use crate::propagation;
use crate::running_telemetry::RunningTelemetry;
use crate::summary::port_warning;
use crate::telemetry::Telemetry;

static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts telemetry for the whole process, with this service name and this collector endpoint. All other settings are those of
/// [`Telemetry::from_env`].
///
/// The name and the endpoint take precedence over `OTEL_SERVICE_NAME` and
/// `OTEL_EXPORTER_OTLP_ENDPOINT`. Default protocol: gRPC, or HTTP without the feature `grpc`; `OTEL_EXPORTER_OTLP_PROTOCOL` sets
/// another one.
///
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _telemetry = tower_otel_init::init_telemetry("users", "http://localhost:4317")?;
///     // ... serve ...
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// Returns the errors of [`Telemetry::from_env`], and an error if the endpoint is not an `http` or `https` URL.
pub fn init_telemetry(service_name: &str, otlp_endpoint: &str) -> Result<Telemetry, InitError> {
    Telemetry::builder(service_name)
        .resource_attribute(key::SERVICE_NAME, service_name)
        .endpoint(otlp_endpoint)
        .install()
}

impl TelemetryBuilder {
    /// Starts telemetry for the whole process: installs the `tracing` subscriber, the global
    /// OpenTelemetry providers, the global propagator, and the recorder of the `metrics` facade.
    ///
    /// # Errors
    ///
    /// Returns an error if telemetry is already started, a subscriber or a recorder of the `metrics` facade is already
    /// installed, a value is invalid, a setting requires a feature that is not enabled, or a thread cannot be started. Nothing
    /// is installed then, except the recorder of the `metrics` facade if a thread of its exporters cannot be started.
    pub fn install(self) -> Result<Telemetry, InitError> {
        if STARTED.swap(true, SeqCst) {
            return Err(InitError::AlreadyStarted);
        }
        self.install_first()
            .inspect_err(|_| STARTED.store(false, SeqCst))
    }

    fn install_first(&self) -> Result<Telemetry, InitError> {
        if has_subscriber() {
            return Err(InitError::SubscriberInstalled);
        }
        let (mut telemetry, config) = self.start(true)?;
        let layers = telemetry.installed_layers(config.log_format);
        let subscriber = tracing_subscriber::registry().with(layers);
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|_| InitError::SubscriberInstalled)?;
        // Forwards records of the crate `log`, unless the application has a logger.
        let _ = tracing_log::LogTracer::init();
        telemetry.set_global(&config);
        tracing::info!(target: "tower_otel_init", "{}", telemetry.summary);
        telemetry.handed_over = Some(Instant::now());
        Ok(Telemetry(telemetry))
    }

    /// Starts telemetry for the whole process, and returns the layers for the application's own
    /// subscriber instead of installing one. The global OpenTelemetry providers, the global propagator and the recorder of the
    /// `metrics` facade are installed. The application writes log lines itself.
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
    /// Returns the errors of [`install`](Self::install). An installed subscriber is not an error here.
    pub fn layers<S>(self) -> Result<(Telemetry, Layers<S>), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        if STARTED.swap(true, SeqCst) {
            return Err(InitError::AlreadyStarted);
        }
        let started = self.start(true);
        let (mut telemetry, config) = started.inspect_err(|_| STARTED.store(false, SeqCst))?;
        telemetry.set_global(&config);
        let layers = telemetry.layers();
        telemetry.handed_over = Some(Instant::now());
        Ok((Telemetry(telemetry), layers))
    }

    /// Starts telemetry that is not global: no subscriber, provider, propagator or recorder is
    /// installed. Tests can do this any number of times in a process.
    ///
    /// ```
    /// use tower_otel_init::{MetricsExporter, Telemetry, TracesExporter};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Telemetry::builder("users")
    ///     .traces(TracesExporter::Console)
    ///     .metrics(MetricsExporter::None);
    /// let (telemetry, layers) = builder.local()?;
    /// let subscriber = tracing_subscriber::registry().with(layers);
    /// tracing::subscriber::with_default(subscriber, || {
    ///     tracing::info_span!("order").in_scope(|| { /* ... */ });
    /// });
    /// drop(telemetry); // exports the span
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a value is invalid, a setting requires a feature that is not enabled, or a thread cannot be started.
    pub fn local<S>(self) -> Result<(Telemetry, Layers<S>), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let (telemetry, _) = self.start(false)?;
        let layers = telemetry.layers();
        Ok((Telemetry(telemetry), layers))
    }
}

impl RunningTelemetry {
    /// Sets the global propagator and providers, and logs the warnings about variables.
    fn set_global(&self, config: &Config) {
        global::set_text_map_propagator(propagation::composite(&config.propagators));
        if let Some(spans) = &self.spans {
            global::set_tracer_provider(spans.provider.clone());
        }
        if let Some(provider) = &self.meter_provider {
            global::set_meter_provider(provider.clone());
        }
        // Without the feature, there is no recorder even if nobody has disabled metrics.
        if cfg!(feature = "prometheus") && config.metrics == MetricsConfig::default() {
            tower_otel_metrics::expect_no_recorder();
        }
        for warning in &self.warnings {
            warn(&warning.to_string());
        }
        let collectors = [
            config.traces.otlp(),
            config.metrics.otlp.as_ref(),
            config.logs.otlp(),
        ];
        let collectors = collectors.into_iter().flatten();
        let mut port_warnings: Vec<String> = collectors.filter_map(port_warning).collect();
        port_warnings.dedup();
        for warning in port_warnings {
            warn(&warning);
        }
    }
}

/// Returns whether this thread has a subscriber. `dispatcher::has_been_set` stays true after any thread has had one.
fn has_subscriber() -> bool {
    tracing::dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}

/// Logs a warning, or writes it to the standard error if the application has not installed its subscriber yet.
fn warn(warning: &str) {
    if has_subscriber() {
        tracing::warn!("{warning}");
    } else {
        let _ = writeln!(std::io::stderr(), "tower-otel-init: {warning}");
    }
}
