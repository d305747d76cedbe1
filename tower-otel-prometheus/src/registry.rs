//! Every metric of a recorder.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use metrics::{Key, KeyName, SharedString, atomics::AtomicU64};

use crate::{
    buckets::Buckets,
    budget::SeriesBudget,
    exemplar::SpanSource,
    histogram::AtomicHistogram,
    labels::metric_name,
    metric_kinds::{MetricKind, MetricKinds},
    table::SeriesTable,
};

/// The series of all counters, gauges and histograms.
///
/// A counter is an integer and a gauge the bits of an `f64`. Both are changed in place.
pub(crate) struct Registry {
    pub(crate) counters: SeriesTable<AtomicU64>,
    pub(crate) gauges: SeriesTable<AtomicU64>,
    pub(crate) histograms: SeriesTable<AtomicHistogram>,
    kinds: MetricKinds,
    budget: SeriesBudget,
    buckets: Buckets,
    native: bool,
    /// Returns the current span for exemplars. `None` if histograms have no exemplars.
    spans: Option<SpanSource>,
}

impl Registry {
    pub(crate) fn new(buckets: Buckets, native: bool, spans: Option<SpanSource>) -> Self {
        Self {
            counters: SeriesTable::new(None),
            gauges: SeriesTable::new(None),
            histograms: SeriesTable::new(Some("le")),
            kinds: MetricKinds::default(),
            budget: SeriesBudget::default(),
            buckets,
            native,
            spans,
        }
    }

    pub(crate) fn describe(&self, name: &KeyName, kind: MetricKind, help: SharedString) {
        let name = metric_name(name.as_str());
        match kind {
            MetricKind::Counter => self.counters.describe(name, help),
            MetricKind::Gauge => self.gauges.describe(name, help),
            MetricKind::Histogram => self.histograms.describe(name, help),
        }
    }

    /// Returns whether the name may be used for this kind of metric.
    pub(crate) fn allows(&self, key: &Key, kind: MetricKind) -> bool {
        self.kinds.allows(&metric_name(key.name()), kind)
    }

    /// Returns whether a metric or a series of a histogram has this rendered name.
    pub(crate) fn uses_name(&self, name: &str) -> bool {
        self.kinds.is_used(name)
    }

    /// Returns the counter of this key, whose name must be [allowed](Self::allows).
    pub(crate) fn counter(&self, key: &Key) -> Arc<AtomicU64> {
        let name = metric_name(key.name());
        let budget = (&self.budget, || size_of::<AtomicU64>());
        self.counters
            .get_or_insert_with(key, name, budget, || AtomicU64::new(0))
    }

    /// Returns the gauge of this key, whose name must be [allowed](Self::allows).
    pub(crate) fn gauge(&self, key: &Key) -> Arc<AtomicU64> {
        let name = metric_name(key.name());
        let zero = 0.0_f64.to_bits();
        let budget = (&self.budget, || size_of::<AtomicU64>());
        self.gauges
            .get_or_insert_with(key, name, budget, || AtomicU64::new(zero))
    }

    /// Returns the histogram of this key, whose name must be [allowed](Self::allows).
    pub(crate) fn histogram(&self, key: &Key) -> Arc<AtomicHistogram> {
        let name = metric_name(key.name());
        let boundaries = || {
            let name = metric_name(key.name());
            self.buckets.boundaries_of(&name, key.labels())
        };
        let has_exemplars = self.spans.is_some();
        let size = || {
            let boundaries = boundaries();
            let is_shared = Arc::strong_count(&boundaries) > 1;
            let own = if is_shared {
                0
            } else {
                size_of_val(&*boundaries)
            };
            own + AtomicHistogram::size(&boundaries, self.native, has_exemplars)
        };
        let budget = (&self.budget, size);
        let make = || AtomicHistogram::new(boundaries(), self.native, self.spans);
        self.histograms.get_or_insert_with(key, name, budget, make)
    }

    /// Returns whether histograms have native buckets.
    pub(crate) const fn has_native_histograms(&self) -> bool {
        self.native
    }
}

pub(crate) fn counter_value(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

pub(crate) fn gauge_value(gauge: &AtomicU64) -> f64 {
    f64::from_bits(gauge.load(Relaxed))
}
