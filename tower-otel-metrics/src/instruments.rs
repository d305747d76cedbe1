//! The instruments of one layer, shared by its clones and their exchanges.

use std::sync::{Arc, OnceLock};

use tower_otel_core::Kind;

use crate::{
    backend::{Backend, SeriesLabels, Wanted},
    dimensions::{Dimensions, Key},
    names::Names,
    series::Series,
};

/// How many series a layer makes of each kind before it counts in the overflow series.
pub(crate) const DEFAULT_LIMIT: usize = 2_000;

/// What every label of the overflow series says.
const OVERFLOW: &str = "overflow";

#[derive(Debug)]
pub(crate) struct Instruments<B: Backend> {
    kind: Kind,
    names: Names,
    backend: B,
    resolved: OnceLock<B::Instruments>,
    outcomes: Series<Key, B::Outcome>,
    started: Series<Key, Started<B>>,
    overflow: OnceLock<(B::Outcome, Started<B>)>,
}

/// What an exchange keeps of its start.
#[derive(Clone, Debug)]
pub(crate) struct Started<B: Backend> {
    pub(crate) in_flight: B::InFlight,
    /// The place the exchange was counted in, shared by all exchanges of the series.
    pub(crate) place: Option<Arc<str>>,
}

impl<B: Backend> Instruments<B> {
    pub(crate) fn new(kind: Kind, names: Names, limit: usize, backend: B) -> Self {
        Self {
            kind,
            names,
            backend,
            resolved: OnceLock::new(),
            outcomes: Series::new(limit),
            started: Series::new(limit),
            overflow: OnceLock::new(),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) const fn names(&self) -> Names {
        self.names
    }

    /// The gauge of an exchange that starts.
    pub(crate) fn started(&self, of: &Dimensions<'_>) -> &Started<B> {
        self.started
            .get_or_insert_with(of, |key| self.make_started(&key.dimensions()))
            .unwrap_or_else(|| &self.overflow(&self.started).1)
    }

    /// The instruments of an exchange that has ended.
    pub(crate) fn outcome(&self, of: &Dimensions<'_>) -> &B::Outcome {
        self.outcomes
            .get_or_insert_with(of, |key| self.make_outcome(&key.dimensions()))
            .unwrap_or_else(|| &self.overflow(&self.outcomes).0)
    }

    /// The series of everything that has none of its own.
    #[cold]
    fn overflow<V>(&self, full: &Series<Key, V>) -> &(B::Outcome, Started<B>) {
        if full.first_refusal() {
            tracing::warn!(
                limit = full.len(),
                metric = self.names.metrics(self.kind).duration.name,
                "too many series: exchanges with new labels are counted in the series \"{OVERFLOW}\""
            );
        }
        self.overflow.get_or_init(|| {
            let everywhere = Dimensions {
                place: Some(OVERFLOW),
                ..Dimensions::of_method(OVERFLOW)
            };
            (
                self.make_outcome(&everywhere),
                self.make_started(&everywhere),
            )
        })
    }

    #[cold]
    fn make_outcome(&self, of: &Dimensions<'_>) -> B::Outcome {
        let series = SeriesLabels {
            shared: self.names.outcome_labels(self.kind, of),
            status: Some(of.status_label().to_owned()),
        };
        self.backend.outcome(self.resolved(), series)
    }

    #[cold]
    fn make_started(&self, of: &Dimensions<'_>) -> Started<B> {
        let series = SeriesLabels {
            shared: self.names.in_flight_labels(self.kind, of),
            status: None,
        };
        Started {
            in_flight: self.backend.in_flight(self.resolved(), series),
            place: of.place.map(Arc::from),
        }
    }

    /// The instruments of the layer, made when the first series is.
    fn resolved(&self) -> &B::Instruments {
        self.resolved.get_or_init(|| {
            let metrics = Wanted(self.names.metrics(self.kind));
            self.backend.instruments(metrics)
        })
    }
}
