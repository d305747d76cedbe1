//! A recorder for the `metrics` facade. Unlike `DebuggingRecorder` of metrics-util, reading it does not
//! reset it.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};

use metrics::{
    Counter, Gauge, HistogramFn, Key, KeyName, Metadata, SharedString, Unit, atomics::AtomicU64,
};

use crate::series::{Histogram, Series, SeriesValue};

/// All registered counters, gauges and histograms.
#[derive(Debug, Default)]
pub(crate) struct MetricsRecorder {
    counters: Registry<AtomicU64>,
    gauges: Registry<AtomicU64>,
    histograms: Registry<HistogramCell>,
}

/// The metrics of one kind, by key.
#[derive(Debug)]
struct Registry<T>(Mutex<Vec<(Key, Arc<T>)>>);

#[derive(Debug, Default)]
struct HistogramCell(Mutex<Histogram>);

impl MetricsRecorder {
    pub(crate) fn series(&self) -> impl Iterator<Item = Series> {
        let as_float = |value: &AtomicU64| f64::from_bits(value.load(Ordering::SeqCst));
        #[allow(clippy::cast_precision_loss, reason = "test values are below 2^53")]
        let as_integer = |value: &AtomicU64| value.load(Ordering::SeqCst) as f64;
        let counters = self
            .counters
            .series(move |value| SeriesValue::Counter(as_integer(value)));
        let gauges = self
            .gauges
            .series(move |value| SeriesValue::Gauge(as_float(value)));
        let histograms = self.histograms.series(|HistogramCell(histogram)| {
            SeriesValue::Histogram(*histogram.lock().unwrap_or_else(PoisonError::into_inner))
        });
        counters.into_iter().chain(gauges).chain(histograms)
    }
}

impl<T: Default> Registry<T> {
    fn get_or_register(&self, key: &Key) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = all.iter().find(|(other, _)| other == key) {
            return Arc::clone(value);
        }
        let value = Arc::default();
        all.push((key.clone(), Arc::clone(&value)));
        value
    }
}

impl<T> Registry<T> {
    fn series(&self, read: impl Fn(&T) -> SeriesValue) -> Vec<Series> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.iter().map(|(key, value)| {
            let labels = key.labels().map(|label| (label.key(), label.value()));
            Series::new(key.name(), labels, read(value))
        });
        series.collect()
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.count += 1;
        histogram.sum += value;
    }
}

impl metrics::Recorder for MetricsRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.counters.get_or_register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.gauges.get_or_register(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(self.histograms.get_or_register(key))
    }
}
