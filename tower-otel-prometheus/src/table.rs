//! The series of one kind of metric, and the labels they are rendered with.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use metrics::{Key, SharedString};

use crate::{
    budget::SeriesBudget,
    labels::{is_bounded, label_text},
};

/// The labels of the overflow series, as in the OpenTelemetry SDKs. Label values beyond the budget are recorded in it.
const OVERFLOW: &str = "otel_metric_overflow=\"true\"";

/// The approximate size of a series or a key in the table without its texts, in bytes.
const KEY_SIZE: usize = 150;

/// The maximum number of names.
pub(crate) const MAX_NAMES: usize = 10_000;

/// A table with one `S` for each series that Prometheus distinguishes.
///
/// Keys that are equal when rendered share one `S`. Such keys differ only in the order of their labels, or in
/// characters that become `_`. Prometheus would reject one of two equal lines, or the whole scrape.
///
/// The lock is read when a handle is requested and while a render copies the handles of a page. It is written
/// only to insert. Recording does not take it.
pub(crate) struct SeriesTable<S> {
    /// A label name that the lines of a series use themselves, such as `le`.
    reserved_label: Option<&'static str>,
    state: RwLock<State<S>>,
}

struct State<S> {
    /// Finds a known key without rendering it.
    by_key: HashMap<Key, Arc<S>>,
    families: Families<S>,
    /// The series of all names that the budget has no room for. It is not rendered.
    refused: Option<Arc<S>>,
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
                refused: None,
            }),
        }
    }

    /// Sets the help text of a rendered name. The first text applies, as in `metrics-exporter-prometheus`.
    pub(crate) fn describe(&self, name: Cow<'_, str>, help: SharedString) {
        let mut state = self.write();
        if state.families.len() >= MAX_NAMES {
            return;
        }
        let family = state.families.entry(Arc::from(name)).or_default();
        family.help.get_or_insert(help);
    }

    /// Returns the series of a key that was inserted unchanged. The name of such a key is allowed. Called for each sample by
    /// code that does not store its handles.
    pub(crate) fn find_key(&self, key: &Key) -> Option<Arc<S>> {
        self.read().by_key.get(key).cloned()
    }

    /// Returns the series of `key`, whose rendered name is `name`. A new series is created by `make` and
    /// uses `size()` bytes without its labels. If the budget is exhausted, returns the overflow series of
    /// the name, or for a new name a series that is not rendered.
    pub(crate) fn get_or_insert_with(
        &self,
        key: &Key,
        name: Cow<'_, str>,
        (budget, size): (&SeriesBudget, impl FnOnce() -> usize),
        make: impl FnOnce() -> S,
    ) -> Arc<S> {
        if let Some(series) = self.read().by_key.get(key) {
            return Arc::clone(series);
        }
        let labels = label_text(key.labels(), self.reserved_label);
        let key_size = KEY_SIZE + name.len() + 2 * labels.len();
        let size = size() + key_size;
        let has_room = budget.has(size);
        if !(has_room && is_bounded(key))
            && let Some((series, is_exhausted)) = self.find(&name, &labels, has_room)
        {
            if is_exhausted {
                budget.warn_exhausted(&name);
            }
            return series;
        }
        let mut state = self.write();
        let known = state.families.get(&*name);
        let series = known.and_then(|family| family.series.get(&*labels));
        let (series, is_exhausted) = match series {
            Some(series) => (Arc::clone(series), false),
            None if budget.take(size) => {
                let family = state.families.entry(Arc::from(&*name)).or_default();
                let series = Arc::new(make());
                family.series.insert(Arc::from(labels), Arc::clone(&series));
                (series, false)
            }
            None => match state.families.get_mut(&*name) {
                Some(family) => {
                    let overflow = family.series.entry(Arc::from(OVERFLOW));
                    (
                        Arc::clone(overflow.or_insert_with(|| Arc::new(make()))),
                        true,
                    )
                }
                None => {
                    let refused = state.refused.get_or_insert_with(|| Arc::new(make()));
                    (Arc::clone(refused), true)
                }
            },
        };
        // The key is stored with its complete texts, so only a bounded key is stored.
        if !is_exhausted && is_bounded(key) && budget.take(key_size) {
            state.by_key.insert(key.to_retained(), Arc::clone(&series));
        }
        drop(state);
        if is_exhausted {
            budget.warn_exhausted(&name);
        }
        series
    }

    /// Returns the series with these rendered labels. If there is none and no room for it, returns the overflow
    /// series and `true`. Takes the lock for reading only, because clients may cause new labels with each request.
    fn find(&self, name: &str, labels: &str, has_room: bool) -> Option<(Arc<S>, bool)> {
        let state = self.read();
        let family = state.families.get(name)?;
        if let Some(series) = family.series.get(labels) {
            return Some((Arc::clone(series), false));
        }
        let overflow = family.series.get(OVERFLOW).filter(|_| !has_room)?;
        Some((Arc::clone(overflow), true))
    }

    /// Returns up to `length` series of one family after a position, or `None` after the last one. Series are never
    /// removed, so every series that exists before the first page is in exactly one page.
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[test]
    fn series_beyond_the_budget_are_one_and_new_names_are_not_rendered() {
        let table = SeriesTable::new(None);
        let budget = SeriesBudget::new(10_000);
        let add = |name: &'static str, label: String| {
            let key = Key::from_parts(name, vec![metrics::Label::new("n", label)]);
            let make = || AtomicU64::new(0);
            let series = table.get_or_insert_with(&key, name.into(), (&budget, || 8), make);
            series.fetch_add(1, Relaxed);
        };
        for _ in 0..2 {
            (0..1_000).for_each(|n| add("a", n.to_string()));
        }
        add("b", "1".to_owned());
        let page = table.page(None, usize::MAX).unwrap();
        let (mut overflow, mut others) = (0, 0);
        for (labels, series) in page.series() {
            match labels {
                OVERFLOW => overflow += series.load(Relaxed),
                _ => {
                    assert_eq!(series.load(Relaxed), 2, "{labels}");
                    others += 1;
                }
            }
        }
        assert!((10..100).contains(&others), "{others}");
        assert_eq!(overflow, 2 * (1_000 - others));
        let rest = table.page(page.end().as_ref(), usize::MAX);
        assert!(rest.is_none(), "the name b is not rendered");
    }

    #[test]
    fn all_names_that_the_budget_refuses_share_one_series() {
        let table = SeriesTable::new(None);
        let budget = SeriesBudget::new(0);
        let series = ["a", "b", "c"].map(|name| {
            let key = Key::from_name(name);
            let make = || AtomicU64::new(0);
            table.get_or_insert_with(&key, name.into(), (&budget, || 8), make)
        });
        assert!(series.iter().all(|other| Arc::ptr_eq(other, &series[0])));
        assert!(table.page(None, usize::MAX).is_none());
    }

    #[test]
    fn known_labels_and_the_overflow_series_are_found_without_the_exclusive_lock() {
        let table = SeriesTable::new(None);
        let budget = SeriesBudget::new(1_000);
        let series = |names: [&'static str; 2], value: String| {
            let labels = names.map(|name| metrics::Label::new(name, value.clone()));
            let key = Key::from_parts("a", labels.to_vec());
            let make = || AtomicU64::new(0);
            table.get_or_insert_with(&key, "a".into(), (&budget, || 8), make)
        };
        let known = series(["x", "y"], "0".to_owned());
        (0..100).for_each(|n| drop(series(["x", "y"], n.to_string())));
        let overflow = series(["x", "y"], "beyond".to_owned());
        // Other readers do not wait for a reader. A writer would wait forever.
        let reader = table.read();
        let (done, finished) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let same = series(["y", "x"], "0".to_owned());
                let beyond = series(["x", "y"], "new".to_owned());
                let _ = done.send((same, beyond));
            });
            let found = finished.recv_timeout(std::time::Duration::from_secs(5));
            drop(reader);
            let (same, beyond) = found.unwrap();
            assert!(Arc::ptr_eq(&same, &known));
            assert!(Arc::ptr_eq(&beyond, &overflow));
        });
    }
}
