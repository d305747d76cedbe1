//! Every metric except summaries: counters, gauges, and histograms with buckets.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use metrics::{Key, KeyName, SharedString, atomics::AtomicU64};

use crate::{
    buckets::Buckets,
    histogram::AtomicHistogram,
    labels::metric_name,
    metric_kinds::{MetricKind, MetricKinds},
    protobuf::{self, MetricType},
    summary::parse_labels,
    table::SeriesTable,
    text::{self, Float},
};

/// The series of all counters, gauges and histograms with buckets.
///
/// A counter is an integer and a gauge the bits of an `f64`. Both are changed in place.
pub(crate) struct Registry {
    counters: SeriesTable<AtomicU64>,
    gauges: SeriesTable<AtomicU64>,
    histograms: SeriesTable<AtomicHistogram>,
    kinds: MetricKinds,
    buckets: Buckets,
    native: bool,
}

impl Registry {
    pub(crate) fn new(buckets: Buckets, native: bool) -> Self {
        Self {
            counters: SeriesTable::new(None),
            gauges: SeriesTable::new(None),
            histograms: SeriesTable::new(Some("le")),
            kinds: MetricKinds::default(),
            buckets,
            native,
        }
    }

    pub(crate) fn describe_counter(&self, name: &KeyName, help: SharedString) {
        self.counters.describe(metric_name(name.as_str()), help);
    }

    pub(crate) fn describe_gauge(&self, name: &KeyName, help: SharedString) {
        self.gauges.describe(metric_name(name.as_str()), help);
    }

    /// Describes a histogram with buckets.
    pub(crate) fn describe_histogram(&self, name: &KeyName, help: SharedString) {
        self.histograms.describe(metric_name(name.as_str()), help);
    }

    /// Whether histograms of this name have buckets.
    pub(crate) fn has_buckets(&self, name: &KeyName) -> bool {
        self.buckets
            .boundaries(&metric_name(name.as_str()))
            .is_some()
    }

    /// Whether the name may be used for this kind of metric.
    pub(crate) fn allows(&self, key: &Key, kind: MetricKind) -> bool {
        self.kinds.allows(&metric_name(key.name()), kind)
    }

    /// Returns the counter of this key, whose name must be [allowed](Self::allows).
    pub(crate) fn counter(&self, key: &Key) -> Arc<AtomicU64> {
        let name = metric_name(key.name());
        self.counters
            .get_or_insert_with(key, name, || AtomicU64::new(0))
    }

    /// Returns the gauge of this key, whose name must be [allowed](Self::allows).
    pub(crate) fn gauge(&self, key: &Key) -> Arc<AtomicU64> {
        let name = metric_name(key.name());
        let zero = 0.0_f64.to_bits();
        self.gauges
            .get_or_insert_with(key, name, || AtomicU64::new(zero))
    }

    /// Returns the histogram of this key, whose name must be [allowed](Self::allows), or `None` if its
    /// name has no buckets.
    pub(crate) fn histogram(&self, key: &Key) -> Option<Arc<AtomicHistogram>> {
        let name = metric_name(key.name());
        let boundaries = Arc::clone(self.buckets.boundaries(&name)?);
        let make = || AtomicHistogram::new(boundaries, self.native);
        Some(self.histograms.get_or_insert_with(key, name, make))
    }

    /// Whether histograms have native buckets.
    pub(crate) const fn has_native_histograms(&self) -> bool {
        self.native
    }

    /// Appends counters and gauges in the text format.
    pub(crate) fn render_values(&self, text: &mut String) {
        for (name, family) in self.counters.families() {
            let series = family.series();
            let series = series.map(|(labels, counter)| (labels, counter_value(counter)));
            text::write_values(text, &name, family.help.as_deref(), "counter", series);
        }
        for (name, family) in self.gauges.families() {
            let series = family.series();
            let series = series.map(|(labels, gauge)| (labels, Float(gauge_value(gauge))));
            text::write_values(text, &name, family.help.as_deref(), "gauge", series);
        }
    }

    /// Appends the histograms in the text format.
    pub(crate) fn render_histograms(&self, text: &mut String) {
        for (name, family) in self.histograms.families() {
            text::write_histogram(text, &name, family.help.as_deref(), family.series());
        }
    }

    /// Appends all metrics in the protobuf format.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (name, family) in self.counters.families() {
            let series = family.series();
            let series = series
                .map(|(labels, counter)| (parse_labels(labels), counter_value(counter) as f64));
            let help = family.help.as_deref();
            protobuf::write_values(out, &name, help, MetricType::Counter, series);
        }
        for (name, family) in self.gauges.families() {
            let series = family.series();
            let series = series.map(|(labels, gauge)| (parse_labels(labels), gauge_value(gauge)));
            let help = family.help.as_deref();
            protobuf::write_values(out, &name, help, MetricType::Gauge, series);
        }
        for (name, family) in self.histograms.families() {
            let series = family.series();
            let series = series.map(|(labels, histogram)| (parse_labels(labels), histogram));
            protobuf::write_histogram(out, &name, family.help.as_deref(), series);
        }
    }
}

fn counter_value(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

fn gauge_value(gauge: &AtomicU64) -> f64 {
    f64::from_bits(gauge.load(Relaxed))
}
