//! A recorder for the `metrics` facade that can be read as often as one likes. The one for debugging
//! in metrics-util sets everything to zero when it is read.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};

use metrics::{
    Counter, Gauge, HistogramFn, Key, KeyName, Metadata, SharedString, Unit, atomics::AtomicU64,
};

use crate::metrics::{Histogram, Reading, Series};

/// Everything that was registered, by kind and key.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    counters: Registered<AtomicU64>,
    gauges: Registered<AtomicU64>,
    histograms: Registered<Samples>,
}

#[derive(Debug)]
struct Registered<T>(Mutex<Vec<(Key, Arc<T>)>>);

/// The number of samples, and their sum.
#[derive(Debug, Default)]
struct Samples(Mutex<Histogram>);

impl Recorder {
    pub(crate) fn series(&self) -> impl Iterator<Item = Series> {
        let float = |value: &AtomicU64| f64::from_bits(value.load(Ordering::SeqCst));
        #[allow(clippy::cast_precision_loss, reason = "a test does not count that far")]
        let whole = |value: &AtomicU64| value.load(Ordering::SeqCst) as f64;
        let counters = self
            .counters
            .read(move |value| Reading::Counter(whole(value)));
        let gauges = self.gauges.read(move |value| Reading::Gauge(float(value)));
        let histograms = self.histograms.read(|Samples(samples)| {
            Reading::Histogram(*samples.lock().unwrap_or_else(PoisonError::into_inner))
        });
        counters.into_iter().chain(gauges).chain(histograms)
    }
}

impl<T: Default> Registered<T> {
    fn get(&self, key: &Key) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = all.iter().find(|(known, _)| known == key) {
            return Arc::clone(value);
        }
        let value = Arc::default();
        all.push((key.clone(), Arc::clone(&value)));
        value
    }
}

impl<T> Registered<T> {
    fn read(&self, reading: impl Fn(&T) -> Reading) -> Vec<Series> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.iter().map(|(key, value)| {
            let labels = key.labels().map(|label| (label.key(), label.value()));
            Series::new(key.name(), labels, reading(value))
        });
        series.collect()
    }
}

impl<T> Default for Registered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl HistogramFn for Samples {
    fn record(&self, value: f64) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.count += 1;
        samples.sum += value;
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.counters.get(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.gauges.get(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(self.histograms.get(key))
    }
}
