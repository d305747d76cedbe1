//! A snapshot of metrics.

use std::fmt;

use crate::series::{Histogram, Series, SeriesValue};

/// A snapshot of all series, from the `metrics` facade and from OpenTelemetry meters.
///
/// `Display` shows one line per series, sorted:
///
/// ```text
/// http_request_duration_seconds{method="GET",path="/users/{id}"} count=2
/// http_requests_in_flight{method="GET"} 0
/// http_requests_total{method="GET",path="/users/{id}",status="200"} 2
/// ```
///
/// The methods select the series that have all given labels. These series may have further labels. The
/// methods return the sum of their values, or `None` if there is no such series. Example:
/// `telemetry.metrics().counter("http_requests_total", &[("method", "GET")])`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics(Vec<Series>);

impl Metrics {
    pub(crate) fn new(series: impl Iterator<Item = Series>) -> Self {
        Self(series.collect())
    }

    /// Returns the sum of the counter's series that have these labels, or `None` if there is none.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let counters = self.values(name, labels).map(|value| match value {
            SeriesValue::Counter(value) => Some(value),
            SeriesValue::Gauge(_) | SeriesValue::Histogram(_) => None,
        });
        counters.flatten().reduce(|sum, value| sum + value)
    }

    /// Returns the sum of the series of a gauge or up-down counter that have these labels, or `None` if there is none.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let gauges = self.values(name, labels).map(|value| match value {
            SeriesValue::Gauge(value) => Some(value),
            SeriesValue::Counter(_) | SeriesValue::Histogram(_) => None,
        });
        gauges.flatten().reduce(|sum, value| sum + value)
    }

    /// Returns count and sum of the histogram's series that have these labels, or `None` if there is none.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<Histogram> {
        let histograms = self.values(name, labels).map(|value| match value {
            SeriesValue::Histogram(histogram) => Some(histogram),
            SeriesValue::Counter(_) | SeriesValue::Gauge(_) => None,
        });
        histograms.flatten().reduce(|a, b| Histogram {
            count: a.count + b.count,
            sum: a.sum + b.sum,
        })
    }

    fn values(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = SeriesValue> {
        let Self(series) = self;
        series
            .iter()
            .filter(move |series| series.name == name && series.has_labels(labels))
            .map(|series| series.value)
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(series) = self;
        let mut lines: Vec<_> = series.iter().map(Series::to_string).collect();
        lines.sort_unstable();
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
