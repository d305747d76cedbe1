//! The exporters of traces and of log records.

use crate::env::Env;
use crate::error::InitError;
use crate::options::{LogsExporter, TracesExporter};
use crate::otlp_config::{OtlpConfig, Signal};
use crate::settings::Settings;

/// The exporter of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExporterConfig {
    Otlp(OtlpConfig),
    Console,
    None,
}

impl ExporterConfig {
    /// Returns the OTLP configuration, if the exporter is OTLP.
    pub(crate) const fn otlp(&self) -> Option<&OtlpConfig> {
        match self {
            Self::Otlp(otlp) => Some(otlp),
            Self::Console | Self::None => None,
        }
    }

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
