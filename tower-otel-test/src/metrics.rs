//! Metrics as they are at one moment.

use std::{collections::BTreeMap, fmt};

/// All series at one moment, of the `metrics` facade and of OpenTelemetry alike.
///
/// It is shown as one line for each series, sorted:
///
/// ```text
/// http_request_duration_seconds{method="GET",path="/users/{id}"} count=2
/// http_requests_in_flight{method="GET"} 0
/// http_requests_total{method="GET",path="/users/{id}",status="200"} 2
/// ```
///
/// In the methods, labels choose the series that have all of them, whatever else they have; their
/// values are added up. Where there is no such series, the answer is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics(Vec<Series>);

/// The samples of a histogram: how many, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many samples.
    pub count: u64,
    /// The sum of their values.
    pub sum: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    reading: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    Counter(f64),
    Gauge(f64),
    Histogram(Histogram),
}

impl Metrics {
    pub(crate) fn new(series: impl Iterator<Item = Series>) -> Self {
        Self(series.collect())
    }

    /// The value of a counter.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let counters = self.readings(name, labels).map(|reading| match reading {
            Reading::Counter(value) => Some(value),
            Reading::Gauge(_) | Reading::Histogram(_) => None,
        });
        counters.flatten().reduce(|sum, value| sum + value)
    }

    /// The value of a gauge, or of an up-down counter.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let gauges = self.readings(name, labels).map(|reading| match reading {
            Reading::Gauge(value) => Some(value),
            Reading::Counter(_) | Reading::Histogram(_) => None,
        });
        gauges.flatten().reduce(|sum, value| sum + value)
    }

    /// The samples of a histogram.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<Histogram> {
        let histograms = self.readings(name, labels).map(|reading| match reading {
            Reading::Histogram(samples) => Some(samples),
            Reading::Counter(_) | Reading::Gauge(_) => None,
        });
        histograms.flatten().reduce(|all, more| Histogram {
            count: all.count + more.count,
            sum: all.sum + more.sum,
        })
    }

    fn readings(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = Reading> {
        let Self(series) = self;
        series
            .iter()
            .filter(move |series| series.name == name && series.has(labels))
            .map(|series| series.reading)
    }
}

impl Series {
    pub(crate) fn new<K, V>(
        name: &str,
        labels: impl Iterator<Item = (K, V)>,
        reading: Reading,
    ) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        Self {
            name: name.to_owned(),
            labels: labels
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            reading,
        }
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        let mut labels = labels.iter();
        labels.all(|(key, value)| self.labels.get(*key).is_some_and(|has| has == value))
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

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            labels,
            reading,
        } = self;
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        f.write_str(name)?;
        if !labels.is_empty() {
            write!(f, "{{{}}}", labels.join(","))?;
        }
        match reading {
            Reading::Counter(value) | Reading::Gauge(value) => write!(f, " {value}"),
            Reading::Histogram(Histogram { count, .. }) => write!(f, " count={count}"),
        }
    }
}
