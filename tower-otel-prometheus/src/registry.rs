//! Every metric of a recorder.

use std::sync::Arc;

use metrics::{Key, KeyName, SharedString};

use crate::{
    buckets::Buckets,
    budget::SeriesBudget,
    cells::CellAllocator,
    counter::AtomicCounter,
    exemplar::SpanSource,
    gauge::AtomicGauge,
    histogram::AtomicHistogram,
    labels::metric_name,
    metric_kinds::{MetricKind, MetricKinds},
    table::SeriesTable,
};

/// The series of all counters, gauges and histograms.
pub(crate) struct Registry {
    pub(crate) counters: SeriesTable<AtomicCounter>,
    pub(crate) gauges: SeriesTable<AtomicGauge>,
    pub(crate) histograms: SeriesTable<AtomicHistogram>,
    /// Allocates the numbers of all series.
    cells: CellAllocator,
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
            cells: CellAllocator::default(),
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
    pub(crate) fn counter(&self, key: &Key) -> Arc<AtomicCounter> {
        let name = metric_name(key.name());
        let budget = (&self.budget, AtomicCounter::size);
        let make = || AtomicCounter::new(&self.cells);
        self.counters.get_or_insert_with(key, name, budget, make)
    }

    /// Returns the gauge of this key, whose name must be [allowed](Self::allows).
    pub(crate) fn gauge(&self, key: &Key) -> Arc<AtomicGauge> {
        let name = metric_name(key.name());
        let budget = (&self.budget, AtomicGauge::size);
        let make = || AtomicGauge::new(&self.cells);
        self.gauges.get_or_insert_with(key, name, budget, make)
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
        let make = || AtomicHistogram::new(boundaries(), self.native, self.spans, &self.cells);
        self.histograms.get_or_insert_with(key, name, budget, make)
    }

    /// Returns whether histograms have native buckets.
    pub(crate) const fn has_native_histograms(&self) -> bool {
        self.native
    }
}
