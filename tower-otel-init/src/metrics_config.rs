//! The destinations of metrics: a collector, `/metrics`, the console, or several of them.

use crate::env::Env;
use crate::error::InitError;
use crate::metrics_exporters::MetricsExporters;
use crate::options::{ChoiceSetting, Flag, MetricsExporter};
use crate::otlp_config::{OtlpConfig, Signal};
use crate::settings::Settings;
use crate::variable::variable;

/// The exporters of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetricsConfig {
    /// The collector that metrics are pushed to. With a recorder, the metrics of the facade are also pushed.
    pub(crate) otlp: Option<OtlpConfig>,
    /// Whether `/metrics` is served.
    pub(crate) prometheus: bool,
    /// Whether metrics are printed. `Telemetry::prometheus` is available then, too.
    pub(crate) console: bool,
}

impl MetricsConfig {
    /// Returns the exporters. `METRICS_ENABLED=false` disables the exporters of
    /// `OTEL_METRICS_EXPORTER`, but not the exporters set in code.
    pub(crate) fn resolve(
        settings: &Settings,
        sdk_disabled: bool,
        env: &mut Env<'_>,
    ) -> Result<Self, InitError> {
        // Read even if the exporters are set in code: an invalid value is an error.
        let enabled = variable(
            "METRICS_ENABLED",
            Flag::parse_ignoring_case,
            Flag::INVALID,
            env,
        )?;
        let has_prometheus = cfg!(feature = "prometheus");
        let default = match has_prometheus {
            true => MetricsExporters::from(MetricsExporter::Prometheus),
            false => MetricsExporters::default(),
        };
        let exporters = match settings.metrics {
            Some(exporters) => exporters,
            None if enabled == Some(Flag::False) => MetricsExporters::default(),
            None => env.first_valid(
                &["OTEL_METRICS_EXPORTER"],
                MetricsExporters::parse,
                MetricsExporters::INVALID,
                default,
            ),
        };
        if sdk_disabled {
            return Ok(Self::default());
        }
        for (is_selected, exporter) in [
            (exporters.prometheus, MetricsExporter::Prometheus),
            (exporters.console, MetricsExporter::Console),
        ] {
            if is_selected && !has_prometheus {
                let exporter = format!("the metrics exporter {}", exporter.as_str());
                return Err(InitError::missing_feature(&exporter, "prometheus"));
            }
        }
        let otlp = match exporters.otlp {
            true => Some(OtlpConfig::resolve(Signal::Metrics, settings, env)?),
            false => None,
        };
        Ok(Self {
            otlp,
            prometheus: exporters.prometheus,
            console: exporters.console,
        })
    }

    /// Whether a recorder of the `metrics` facade is needed.
    pub(crate) const fn has_recorder(&self) -> bool {
        self.prometheus || self.console
    }
}
