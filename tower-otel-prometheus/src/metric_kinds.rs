//! The kind of metric that each name is used for.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::table::MAX_NAMES;

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// The suffixes of the names that a histogram uses for its series.
const HISTOGRAM_SUFFIXES: [&str; 4] = ["_bucket", "_count", "_created", "_sum"];

/// The kinds of all rendered names. Prometheus rejects a scrape in which one name has two kinds.
#[derive(Debug, Default)]
pub(crate) struct MetricKinds {
    kinds: RwLock<HashMap<Box<str>, KindOfName>>,
    has_warned_full: AtomicBool,
}

#[derive(Debug)]
struct KindOfName {
    /// The kind of the metric with this name. `None` if the name is that of a histogram's series, or if the metric was rejected.
    kind: Option<MetricKind>,
    has_warned: bool,
}

impl MetricKinds {
    /// Returns whether the name may be used for this kind. The first kind of a name applies. For another kind, a
    /// warning is logged once per name. A histogram also uses the names of its series, such as
    /// `NAME_count`.
    pub(crate) fn allows(&self, name: &str, kind: MetricKind) -> bool {
        let known = {
            let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
            kinds.get(name).map(|known| (known.kind, known.has_warned))
        };
        match known {
            Some((known, _)) if known == Some(kind) => true,
            Some((_, true)) => false,
            _ => self.allows_first(name, kind),
        }
    }

    /// Returns whether a metric or a series of a histogram uses the name.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        kinds.contains_key(name)
    }

    #[cold]
    fn allows_first(&self, name: &str, kind: MetricKind) -> bool {
        let reason = {
            let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
            if kinds.len() >= MAX_NAMES && !kinds.contains_key(name) {
                drop(kinds);
                self.warn_full(name);
                return false;
            }
            let is_histogram = kind == MetricKind::Histogram;
            let series = HISTOGRAM_SUFFIXES.map(|suffix| format!("{name}{suffix}"));
            let conflict = match kinds.get(name) {
                None if is_histogram => series.iter().find(|name| kinds.contains_key(&***name)),
                _ => None,
            };
            let known = kinds.entry(name.into()).or_insert(KindOfName {
                kind: conflict.is_none().then_some(kind),
                has_warned: false,
            });
            if known.kind == Some(kind) {
                for series in series.into_iter().filter(|_| is_histogram) {
                    kinds.entry(series.into()).or_insert(KindOfName {
                        kind: None,
                        has_warned: false,
                    });
                }
                return true;
            }
            if std::mem::replace(&mut known.has_warned, true) {
                return false;
            }
            match (known.kind, conflict) {
                (Some(known), _) => format!("the name is already used for a {known}"),
                (None, Some(series)) => format!("the name {series} is already used"),
                (None, None) => "the name is already used for a series of a histogram".to_owned(),
            }
        };
        // The lock is released: a subscriber may record metrics itself.
        tracing::warn!(metric = name, "{reason}: the {kind} is not recorded");
        false
    }

    fn warn_full(&self, name: &str) {
        if !self.has_warned_full.swap(true, Relaxed) {
            tracing::warn!(
                metric = name,
                limit = MAX_NAMES,
                "the limit of names is reached: metrics with new names are not recorded"
            );
        }
    }
}
