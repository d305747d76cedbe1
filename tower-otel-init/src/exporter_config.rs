//! Which exporter each signal has.

use crate::env::Env;
use crate::error::InitError;
use crate::options::{ChoiceSetting, Flag, LogsExporter, MetricsExporter, TracesExporter};
use crate::otlp_config::{OtlpConfig, Signal};
use crate::settings::Settings;
use crate::variable::variable;

/// The exporter of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExporterConfig {
    Otlp(OtlpConfig),
    Console,
    Prometheus,
    None,
}

impl ExporterConfig {
    /// Returns the traces exporter. With the page, nothing is sent unless an endpoint or an exporter is set.
    pub(crate) fn traces(
        settings: &Settings,
        has_page: bool,
        env: &mut Env<'_>,
    ) -> Result<Self, InitError> {
        let is_named = settings.endpoint.is_some()
            || [
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            ]
            .iter()
            .any(|name| env.get(name).is_some());
        let default = if has_page && !is_named {
            TracesExporter::None
        } else {
            TracesExporter::Otlp
        };
        let exporter = match settings.traces {
            Some(exporter) => exporter,
            None => env.first_choice(&["OTEL_TRACES_EXPORTER"], default),
        };
        Ok(match exporter {
            TracesExporter::Otlp => Self::Otlp(OtlpConfig::resolve(Signal::Traces, settings, env)?),
            TracesExporter::Console => Self::Console,
            TracesExporter::None => Self::None,
        })
    }

    /// Returns the metrics exporter. `METRICS_ENABLED=false` disables the one that
    /// `OTEL_METRICS_EXPORTER` selects, and not one set in code.
    pub(crate) fn metrics(
        settings: &Settings,
        sdk_disabled: bool,
        env: &mut Env<'_>,
    ) -> Result<Self, InitError> {
        // Read even if the exporter is set in code: an invalid value is an error.
        let enabled = variable(
            "METRICS_ENABLED",
            Flag::parse_ignoring_case,
            Flag::INVALID,
            env,
        )?;
        let has_prometheus = cfg!(feature = "prometheus");
        let default = if has_prometheus {
            MetricsExporter::Prometheus
        } else {
            MetricsExporter::None
        };
        let exporter = match settings.metrics {
            Some(exporter) => exporter,
            None if enabled == Some(Flag::False) => MetricsExporter::None,
            None => env.first_choice(&["OTEL_METRICS_EXPORTER"], default),
        };
        Ok(match exporter {
            _ if sdk_disabled => Self::None,
            MetricsExporter::Otlp => {
                Self::Otlp(OtlpConfig::resolve(Signal::Metrics, settings, env)?)
            }
            MetricsExporter::None => Self::None,
            MetricsExporter::Prometheus if has_prometheus => Self::Prometheus,
            MetricsExporter::Console if has_prometheus => Self::Console,
            MetricsExporter::Prometheus | MetricsExporter::Console => {
                return Err(InitError::missing_feature(
                    &format!("the metrics exporter {}", exporter.as_str()),
                    "prometheus",
                ));
            }
        })
    }

    pub(crate) fn logs(settings: &Settings, env: &mut Env<'_>) -> Result<Self, InitError> {
        let exporter = match settings.logs {
            Some(exporter) => exporter,
            None => env.first_choice(&["OTEL_LOGS_EXPORTER"], LogsExporter::None),
        };
        match exporter {
            LogsExporter::Otlp if cfg!(feature = "logs") => {
                let otlp = OtlpConfig::resolve(Signal::Logs, settings, env)?;
                Ok(Self::Otlp(otlp))
            }
            LogsExporter::Otlp => Err(InitError::missing_feature("the logs exporter otlp", "logs")),
            LogsExporter::Console | LogsExporter::None => Ok(Self::None),
        }
    }
}
