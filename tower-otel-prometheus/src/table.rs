//! The series of one kind of metric, and the labels they are rendered with.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use metrics::{Key, SharedString};

use crate::labels::label_text;

/// A table with one `S` for each series that Prometheus distinguishes.
///
/// Keys that render alike share one `S`: keys that differ in the order of their labels, or in
/// characters that become `_`. Two equal lines would make Prometheus reject one of them or the
/// whole scrape.
///
/// The lock is taken when a handle is requested, and while a render copies the list. Recording
/// does not take it.
pub(crate) struct SeriesTable<S> {
    /// A label name that the lines of a series use themselves, such as `le`.
    reserved_label: Option<&'static str>,
    state: RwLock<State<S>>,
}

struct State<S> {
    /// Finds a known key without rendering it.
    by_key: HashMap<Key, Arc<S>>,
    families: Families<S>,
}

/// Families by their rendered name, in order.
pub(crate) type Families<S> = BTreeMap<Arc<str>, Family<S>>;

/// All series of one name.
pub(crate) struct Family<S> {
    pub(crate) help: Option<SharedString>,
    /// Series by their rendered labels.
    series: BTreeMap<Arc<str>, Arc<S>>,
}

impl<S> Family<S> {
    /// Returns each series with its rendered labels.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&str, &S)> {
        let series = self.series.iter();
        series.map(|(labels, value)| (&**labels, &**value))
    }
}

impl<S> SeriesTable<S> {
    pub(crate) fn new(reserved_label: Option<&'static str>) -> Self {
        Self {
            reserved_label,
            state: RwLock::new(State {
                by_key: HashMap::new(),
                families: Families::new(),
            }),
        }
    }

    /// Sets the help text of a rendered name. The first text stays, as in the exporter.
    pub(crate) fn describe(&self, name: Cow<'_, str>, help: SharedString) {
        let mut state = self.write();
        let family = state.families.entry(Arc::from(name)).or_default();
        family.help.get_or_insert(help);
    }

    /// Returns the series of `key`, whose rendered name is `name`. A new series is made by `make`.
    pub(crate) fn get_or_insert_with(
        &self,
        key: &Key,
        name: Cow<'_, str>,
        make: impl FnOnce() -> S,
    ) -> Arc<S> {
        if let Some(series) = self.read().by_key.get(key) {
            return Arc::clone(series);
        }
        let labels = label_text(key.labels(), self.reserved_label);
        let mut state = self.write();
        let family = state.families.entry(Arc::from(name)).or_default();
        let entry = family.series.entry(Arc::from(labels));
        let series = Arc::clone(entry.or_insert_with(|| Arc::new(make())));
        state.by_key.insert(key.to_retained(), Arc::clone(&series));
        series
    }

    /// Returns a copy of the families that have series, so that rendering does not hold the lock.
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
