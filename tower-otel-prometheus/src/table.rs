//! The series of one kind of metric: which there are, and what they are rendered as.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use metrics::{Key, SharedString};

use crate::text;

/// Hands out one `S` for each series that Prometheus can tell apart.
///
/// Keys that are rendered alike, because they differ in nothing but the order of their labels or in
/// characters that become `_`, share one: two equal lines would make Prometheus refuse one of them
/// or the whole scrape, and to choose a line is to lose what the other has counted. So both are
/// counted in one place, and everything is in the total.
///
/// The lock is for whoever asks for a handle, and for a reader as long as it takes to copy the
/// list; recording passes it by.
pub(crate) struct Table<S> {
    /// The label that each line of a series has by itself.
    taken: Option<&'static str>,
    state: RwLock<State<S>>,
}

struct State<S> {
    /// Spares a known key the making of its text.
    known: HashMap<Key, Arc<S>>,
    families: Families<S>,
}

/// By the name that is rendered, so that two scrapes can be compared.
pub(crate) type Families<S> = BTreeMap<Arc<str>, Family<S>>;

/// One metric.
pub(crate) struct Family<S> {
    pub(crate) help: Option<SharedString>,
    /// By what stands between their braces.
    series: BTreeMap<Arc<str>, Arc<S>>,
}

impl<S> Family<S> {
    /// Each series and what stands between its braces.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&str, &S)> {
        let series = self.series.iter();
        series.map(|(labels, one)| (&**labels, &**one))
    }
}

impl<S> Table<S> {
    pub(crate) fn new(taken: Option<&'static str>) -> Self {
        Self {
            taken,
            state: RwLock::new(State {
                known: HashMap::new(),
                families: Families::new(),
            }),
        }
    }

    /// Describes the metric that is rendered with this name. The first description stays, as with
    /// the exporter.
    pub(crate) fn describe(&self, name: Cow<'_, str>, help: SharedString) {
        let mut state = self.write();
        let family = state.families.entry(Arc::from(name)).or_default();
        family.help.get_or_insert(help);
    }

    /// The series of this key, whose name is rendered as `name`, made if there is none yet.
    pub(crate) fn series(&self, key: &Key, name: Cow<'_, str>, make: impl FnOnce() -> S) -> Arc<S> {
        if let Some(known) = self.read().known.get(key) {
            return Arc::clone(known);
        }
        let labels = text::label_set(key.labels(), self.taken);
        let mut state = self.write();
        let family = state.families.entry(Arc::from(name)).or_default();
        let series = family.series.entry(Arc::from(labels));
        let one = Arc::clone(series.or_insert_with(|| Arc::new(make())));
        state.known.insert(key.to_retained(), Arc::clone(&one));
        one
    }

    /// Every metric that was asked for. Copied, so that nobody waits for a handle while they are
    /// rendered.
    pub(crate) fn families(&self) -> Families<S> {
        let mut families = self.read().families.clone();
        families.retain(|_, family| !family.series.is_empty());
        families
    }

    fn read(&self) -> RwLockReadGuard<'_, State<S>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<S>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Default for Family<S> {
    fn default() -> Self {
        Self {
            help: None,
            series: BTreeMap::new(),
        }
    }
}

impl<S> Clone for Family<S> {
    fn clone(&self) -> Self {
        Self {
            help: self.help.clone(),
            series: self.series.clone(),
        }
    }
}
