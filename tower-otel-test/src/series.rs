//! One series of a metric.

use std::{collections::BTreeMap, fmt};

/// The count and the sum of the samples of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// The number of samples.
    pub count: u64,
    /// The sum of the samples, in the unit of the metric.
    pub sum: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    labels: BTreeMap<String, String>,
    pub(crate) value: SeriesValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SeriesValue {
    Counter(f64),
    Gauge(f64),
    Histogram(Histogram),
}

impl Series {
    pub(crate) fn new<K, V>(
        name: &str,
        labels: impl Iterator<Item = (K, V)>,
        value: SeriesValue,
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
            value,
        }
    }

    pub(crate) fn has_labels(&self, labels: &[(&str, &str)]) -> bool {
        let mut labels = labels.iter();
        labels.all(|(key, value)| self.labels.get(*key).is_some_and(|own| own == value))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            labels,
            value,
        } = self;
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        f.write_str(name)?;
        if !labels.is_empty() {
            write!(f, "{{{}}}", labels.join(","))?;
        }
        match value {
            SeriesValue::Counter(value) | SeriesValue::Gauge(value) => write!(f, " {value}"),
            SeriesValue::Histogram(Histogram { count, .. }) => write!(f, " count={count}"),
        }
    }
}
