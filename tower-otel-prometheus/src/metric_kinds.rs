//! The kind of metric that each name is used for.

use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
};

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    /// A histogram with or without buckets: the name decides which.
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

/// The kinds of all rendered names. Prometheus rejects a scrape in which a name has two.
#[derive(Debug, Default)]
pub(crate) struct MetricKinds(RwLock<HashMap<Box<str>, KindOfName>>);

#[derive(Debug)]
struct KindOfName {
    kind: MetricKind,
    has_warned: bool,
}

impl MetricKinds {
    /// Returns whether the name may be used for this kind: the first kind wins. For another kind, a
    /// warning is logged once per name.
    pub(crate) fn allows(&self, name: &str, kind: MetricKind) -> bool {
        let known = {
            let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
            kinds.get(name).map(|known| (known.kind, known.has_warned))
        };
        match known {
            Some((known, _)) if known == kind => true,
            Some((_, true)) => false,
            _ => self.allows_first(name, kind),
        }
    }

    #[cold]
    fn allows_first(&self, name: &str, kind: MetricKind) -> bool {
        let known = {
            let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let known = kinds.entry(name.into()).or_insert(KindOfName {
                kind,
                has_warned: false,
            });
            if known.kind == kind {
                return true;
            }
            if std::mem::replace(&mut known.has_warned, true) {
                return false;
            }
            known.kind
        };
        // The lock is released: a subscriber may record metrics itself.
        tracing::warn!(
            metric = name,
            "the name is already used for a {known}: the {kind} is not recorded"
        );
        false
    }
}
