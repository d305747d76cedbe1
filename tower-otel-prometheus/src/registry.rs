//! What this crate counts itself: counters, gauges, and histograms with buckets.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use metrics::atomics::AtomicU64;
use metrics::{Key, KeyName, SharedString};

use crate::buckets::Buckets;
use crate::families::labels;
use crate::histogram::AtomicHistogram;
use crate::protobuf::{self, Of};
use crate::table::Table;
use crate::text::{self, Number};

/// All series but the summaries.
///
/// A counter is a number and a gauge the bits of one, which whoever records changes in place.
pub(crate) struct Registry {
    counters: Table<AtomicU64>,
    gauges: Table<AtomicU64>,
    histograms: Table<AtomicHistogram>,
    buckets: Buckets,
    native: bool,
}

impl Registry {
    pub(crate) fn new(buckets: Buckets, native: bool) -> Self {
        Self {
            counters: Table::new(None),
            gauges: Table::new(None),
            histograms: Table::new(Some("le")),
            buckets,
            native,
        }
    }

    pub(crate) fn describe_counter(&self, name: &KeyName, help: SharedString) {
        self.counters
            .describe(text::metric_name(name.as_str()), help);
    }

    pub(crate) fn describe_gauge(&self, name: &KeyName, help: SharedString) {
        self.gauges.describe(text::metric_name(name.as_str()), help);
    }

    /// Gives the description back if it is none for a histogram with buckets.
    pub(crate) fn describe_histogram(
        &self,
        name: &KeyName,
        help: SharedString,
    ) -> Option<SharedString> {
        let name = text::metric_name(name.as_str());
        if self.buckets.of(&name).is_none() {
            return Some(help);
        }
        self.histograms.describe(name, help);
        None
    }

    pub(crate) fn counter(&self, key: &Key) -> Arc<AtomicU64> {
        let name = text::metric_name(key.name());
        self.counters.series(key, name, || AtomicU64::new(0))
    }

    pub(crate) fn gauge(&self, key: &Key) -> Arc<AtomicU64> {
        let name = text::metric_name(key.name());
        let zero = 0.0_f64.to_bits();
        self.gauges.series(key, name, || AtomicU64::new(zero))
    }

    /// The histogram of this key, if its name has buckets.
    pub(crate) fn histogram(&self, key: &Key) -> Option<Arc<AtomicHistogram>> {
        let name = text::metric_name(key.name());
        let boundaries = Arc::clone(self.buckets.of(&name)?);
        let make = || AtomicHistogram::with(boundaries, self.native);
        Some(self.histograms.series(key, name, make))
    }

    /// Whether its histograms have native buckets.
    pub(crate) const fn are_native(&self) -> bool {
        self.native
    }

    /// Appends counters and gauges.
    pub(crate) fn render_values(&self, text: &mut String) {
        for (name, family) in self.counters.families() {
            let series = family.series();
            let series = series.map(|(labels, one)| (labels, count(one)));
            text::values(text, &name, family.help.as_deref(), "counter", series);
        }
        for (name, family) in self.gauges.families() {
            let series = family.series();
            let series = series.map(|(labels, one)| (labels, Number(level(one))));
            text::values(text, &name, family.help.as_deref(), "gauge", series);
        }
    }

    /// Appends the histograms.
    pub(crate) fn render_histograms(&self, text: &mut String) {
        for (name, family) in self.histograms.families() {
            text::histogram(text, &name, family.help.as_deref(), family.series());
        }
    }

    /// The same in protobuf.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (name, family) in self.counters.families() {
            let series = family.series();
            let series = series.map(|(text, one)| (labels(text), count(one) as f64));
            protobuf::values(out, &name, family.help.as_deref(), Of::Counter, series);
        }
        for (name, family) in self.gauges.families() {
            let series = family.series();
            let series = series.map(|(text, one)| (labels(text), level(one)));
            protobuf::values(out, &name, family.help.as_deref(), Of::Gauge, series);
        }
        for (name, family) in self.histograms.families() {
            let series = family.series();
            let series = series.map(|(text, one)| (labels(text), one));
            protobuf::histogram(out, &name, family.help.as_deref(), series);
        }
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

fn level(gauge: &AtomicU64) -> f64 {
    f64::from_bits(gauge.load(Relaxed))
}
