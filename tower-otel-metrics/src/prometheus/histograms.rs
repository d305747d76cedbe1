//! The histograms with buckets: which there are, and what they are rendered as.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use metrics::{Key, KeyName, SharedString};

use super::buckets::Buckets;
use super::families::labels;
use super::histogram::AtomicHistogram;
use super::{protobuf, text};

/// Hands out one histogram for each series that Prometheus can tell apart.
///
/// Keys that are rendered alike, because they differ in nothing but the order of their labels or in
/// characters that become `_`, share one: two equal lines would make Prometheus refuse one of them
/// or the whole scrape, and to choose a line is to lose the other's samples. So their samples are
/// added up, and every sample is in the total.
///
/// The lock is for whoever asks for a handle, and for a reader as long as it takes to copy the
/// list; recording passes it by.
pub(super) struct Histograms {
    buckets: Buckets,
    native: bool,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// Spares a known key the making of its text.
    known: HashMap<Key, Arc<AtomicHistogram>>,
    families: BTreeMap<Arc<str>, Family>,
}

/// Sorted by their labels as they are rendered, so that two scrapes can be compared.
#[derive(Clone, Default)]
struct Family {
    help: Option<SharedString>,
    series: BTreeMap<Arc<str>, Arc<AtomicHistogram>>,
}

impl Histograms {
    pub(super) fn new(buckets: Buckets, native: bool) -> Self {
        Self {
            buckets,
            native,
            state: RwLock::default(),
        }
    }

    /// Whether the description is for a histogram of these. The first one stays, as with the
    /// exporter.
    pub(super) fn describe(&self, name: &KeyName, help: &SharedString) -> bool {
        let name = text::metric_name(name.as_str());
        if self.buckets.of(&name).is_none() {
            return false;
        }
        let mut state = self.write();
        let family = state.families.entry(Arc::from(name)).or_default();
        family.help.get_or_insert_with(|| help.clone());
        true
    }

    /// The histogram of this key, if its name has buckets.
    pub(super) fn register(&self, key: &Key) -> Option<Arc<AtomicHistogram>> {
        let name = text::metric_name(key.name());
        let boundaries = self.buckets.of(&name)?;
        if let Some(known) = self.read().known.get(key) {
            return Some(Arc::clone(known));
        }
        let labels = text::label_set(key.labels());
        let mut state = self.write();
        let family = state.families.entry(Arc::from(name)).or_default();
        let series = family.series.entry(Arc::from(labels));
        let histogram = series.or_insert_with(|| {
            Arc::new(AtomicHistogram::with(Arc::clone(boundaries), self.native))
        });
        let histogram = Arc::clone(histogram);
        state
            .known
            .insert(key.to_retained(), Arc::clone(&histogram));
        Some(histogram)
    }

    /// Appends every histogram that was asked for.
    pub(super) fn render(&self, text: &mut String) {
        // Copied, so that nobody waits for a handle while the text is made.
        let families = self.read().families.clone();
        for (name, Family { help, series }) in &families {
            if !series.is_empty() {
                let series = series.iter().map(|(labels, one)| (&**labels, &**one));
                text::family(text, name, help.as_deref(), series);
            }
        }
    }

    /// Whether its histograms have native buckets.
    pub(super) const fn are_native(&self) -> bool {
        self.native
    }

    /// The same in protobuf.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let families = self.read().families.clone();
        for (name, Family { help, series }) in &families {
            if !series.is_empty() {
                let series = series.iter().map(|(text, one)| (labels(text), &**one));
                protobuf::histogram(out, name, help.as_deref(), series);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
