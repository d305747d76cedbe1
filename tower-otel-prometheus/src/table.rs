//! The series of one kind of metric, and the labels they are rendered with.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Unbounded},
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
/// The lock is taken when a handle is requested, and while a render copies the handles of a page.
/// Recording does not take it.
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
type Families<S> = BTreeMap<Arc<str>, Family<S>>;

/// All series of one name.
struct Family<S> {
    help: Option<SharedString>,
    /// Series by their rendered labels.
    series: BTreeMap<Arc<str>, Arc<S>>,
}

/// The last series of a page: its rendered name and labels.
#[derive(Clone)]
pub(crate) struct Position {
    name: Arc<str>,
    labels: Arc<str>,
}

/// Some series of one family, in order.
pub(crate) struct Page<S> {
    pub(crate) name: Arc<str>,
    pub(crate) help: Option<SharedString>,
    /// Whether these are the first series of the family.
    pub(crate) is_first: bool,
    series: Vec<(Arc<str>, Arc<S>)>,
}

impl<S> Page<S> {
    /// Returns each series with its rendered labels.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&str, &S)> {
        let series = self.series.iter();
        series.map(|(labels, value)| (&**labels, &**value))
    }

    /// Returns where the next page starts.
    pub(crate) fn end(&self) -> Option<Position> {
        self.series.last().map(|(labels, _)| Position {
            name: Arc::clone(&self.name),
            labels: Arc::clone(labels),
        })
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

    /// Returns the series after a position, at most `length` and of one family, or `None` after the
    /// last one. Series are never removed, so every series that exists during all pages is in one.
    pub(crate) fn page(&self, after: Option<&Position>, length: usize) -> Option<Page<S>> {
        let state = self.read();
        let rest = after.and_then(|after| {
            let (name, family) = state.families.get_key_value(&after.name)?;
            let rest = Excluded(Arc::clone(&after.labels));
            let series = family.series.range((rest, Unbounded)).take(length);
            Some(Page::new(name, family, series, false))
        });
        if let Some(rest) = rest
            && !rest.series.is_empty()
        {
            return Some(rest);
        }
        let start = after.map_or(Unbounded, |after| Excluded(Arc::clone(&after.name)));
        let mut families = state.families.range((start, Unbounded));
        let (name, family) = families.find(|(_, family)| !family.series.is_empty())?;
        let series = family.series.iter().take(length);
        Some(Page::new(name, family, series, true))
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

impl<S> Page<S> {
    fn new<'a>(
        name: &Arc<str>,
        family: &Family<S>,
        series: impl Iterator<Item = (&'a Arc<str>, &'a Arc<S>)>,
        is_first: bool,
    ) -> Self
    where
        S: 'a,
    {
        Self {
            name: Arc::clone(name),
            help: family.help.clone(),
            is_first,
            series: series
                .map(|(labels, value)| (Arc::clone(labels), Arc::clone(value)))
                .collect(),
        }
    }
}
