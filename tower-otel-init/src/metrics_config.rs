//! Where metrics go: to a collector, to `/metrics`, to the console, or to several of them.

use std::fmt;

use crate::env::Env;
use crate::error::InitError;
use crate::options::{ChoiceSetting, Flag, MetricsExporter};
use crate::otlp_config::{OtlpConfig, Signal};
use crate::settings::Settings;
use crate::variable::variable;

/// A set of exporters of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetricsExporters {
    otlp: bool,
    prometheus: bool,
    console: bool,
}

impl MetricsExporters {
    const INVALID: &str = "is not a list of metrics exporters (expected none, or one or several of \
                           otlp, prometheus, console, separated by commas)";

    /// Returns the set with one more exporter. [`MetricsExporter::None`] removes all others.
    pub(crate) const fn with(self, exporter: MetricsExporter) -> Self {
        match exporter {
            MetricsExporter::Otlp => Self { otlp: true, ..self },
            MetricsExporter::Prometheus => Self {
                prometheus: true,
                ..self
            },
            MetricsExporter::Console => Self {
                console: true,
                ..self
            },
            MetricsExporter::None => Self {
                otlp: false,
                prometheus: false,
                console: false,
            },
        }
    }

    /// Parses a list such as `otlp,prometheus`. `none` is valid only alone.
    fn parse(list: &str) -> Option<Self> {
        let mut exporters = Self::default();
        for item in list.split(',').map(str::trim) {
            match MetricsExporter::parse(item)? {
                MetricsExporter::None if list.trim() != item => return None,
                exporter => exporters = exporters.with(exporter),
            }
        }
        Some(exporters)
    }
}

impl fmt::Display for MetricsExporters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.otlp, MetricsExporter::Otlp),
            (self.prometheus, MetricsExporter::Prometheus),
            (self.console, MetricsExporter::Console),
        ];
        let selected = all.iter().filter(|(is_selected, _)| *is_selected);
        let names: Vec<_> = selected.map(|(_, exporter)| exporter.as_str()).collect();
        match names.is_empty() {
            true => f.write_str(MetricsExporter::None.as_str()),
            false => f.write_str(&names.join(",")),
        }
    }
}

/// The exporters of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetricsConfig {
    /// The collector that metrics are pushed to. With a recorder, these include the metrics of the facade.
    pub(crate) otlp: Option<OtlpConfig>,
    /// Whether `/metrics` is served.
    pub(crate) prometheus: bool,
    /// Whether metrics are printed. They can be served then, too.
    pub(crate) console: bool,
}

impl MetricsConfig {
    /// Returns the exporters. `METRICS_ENABLED=false` disables those that
    /// `OTEL_METRICS_EXPORTER` selects, and not those set in code.
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
        let default = MetricsExporters {
            prometheus: has_prometheus,
            ..MetricsExporters::default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_each_exporter_once_and_none_only_alone() {
        for (list, expected) in [
            ("otlp,prometheus", Some("otlp,prometheus")),
            (" prometheus , otlp ", Some("otlp,prometheus")),
            ("console,otlp,console", Some("otlp,console")),
            ("prometheus", Some("prometheus")),
            ("none", Some("none")),
            ("none,otlp", None),
            ("otlp,none", None),
            ("none,none", None),
            ("otlp,", None),
            (",", None),
            ("otlp prometheus", None),
            ("otlp,statsd", None),
            ("OTLP", None),
        ] {
            let found = MetricsExporters::parse(list).map(|found| found.to_string());
            assert_eq!(found.as_deref(), expected, "{list:?}");
        }
    }

    #[test]
    fn exporters_in_code_are_added_and_none_removes_them() {
        use MetricsExporter::{None, Otlp, Prometheus};
        for (calls, expected) in [
            (&[Otlp, Prometheus][..], "otlp,prometheus"),
            (&[None, Otlp], "otlp"),
            (&[Otlp, Prometheus, None], "none"),
        ] {
            let empty = MetricsExporters::default();
            let found = calls.iter().fold(empty, |found, call| found.with(*call));
            assert_eq!(found.to_string(), expected);
        }
    }
}
