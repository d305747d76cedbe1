//! The list of exporters that `OTEL_METRICS_EXPORTER` selects.

use std::fmt;

use crate::options::{ChoiceSetting, MetricsExporter};

/// A set of exporters of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetricsExporters {
    pub(crate) otlp: bool,
    pub(crate) prometheus: bool,
    pub(crate) console: bool,
}

impl MetricsExporters {
    pub(crate) const INVALID: &str = "is not a list of metrics exporters (expected none, or one or several of \
                           otlp, prometheus, console, separated by commas)";

    /// Returns the set with an added exporter. [`MetricsExporter::None`] removes all others.
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
    pub(crate) fn parse(list: &str) -> Option<Self> {
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

impl From<MetricsExporter> for MetricsExporters {
    fn from(exporter: MetricsExporter) -> Self {
        Self::default().with(exporter)
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
