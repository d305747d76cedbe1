//! The instruments of one layer, shared by its clones and their exchanges.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    backend::{Backend, SeriesLabels, Wanted},
    config::Config,
    dimensions::{Dimensions, Key, OVERFLOW, Unanswered},
    names::Metrics,
    series::Series,
};

/// How many series a layer makes of each kind before it counts in the overflow series.
pub(crate) const DEFAULT_LIMIT: usize = 2_000;

#[derive(Debug)]
pub(crate) struct Instruments<B: Backend> {
    pub(crate) config: Config<B>,
    resolved: OnceLock<B::Instruments>,
    outcomes: Series<Key, B::Outcome>,
    started: Series<Key, Started<B>>,
    overflow: OnceLock<(B::Outcome, Started<B>)>,
    warned_of_the_void: AtomicBool,
}

/// What an exchange keeps of its start.
#[derive(Clone, Debug)]
pub(crate) struct Started<B: Backend> {
    pub(crate) in_flight: B::InFlight,
    /// The host the exchange was counted in, shared by all exchanges of the series.
    pub(crate) host: Option<Arc<str>>,
}

impl<B: Backend> Instruments<B> {
    pub(crate) fn new(config: Config<B>) -> Self {
        Self {
            resolved: OnceLock::new(),
            outcomes: Series::new(config.limit),
            started: Series::new(config.limit),
            config,
            overflow: OnceLock::new(),
            warned_of_the_void: AtomicBool::new(false),
        }
    }

    /// The gauge of an exchange that starts.
    pub(crate) fn started(&self, of: &Dimensions<'_>) -> Started<B> {
        if let Some(known) = self.started.get(of) {
            return known.clone();
        }
        if !self.is_ready() {
            return self.make_started(&self.unkept(), of);
        }
        self.started
            .get_or_insert_with(of, |key| {
                self.make_started(self.resolved(), &key.dimensions())
            })
            .unwrap_or_else(|| &self.overflow(&self.started).1)
            .clone()
    }

    /// Tells the instruments of an exchange that has ended.
    pub(crate) fn outcome(&self, of: &Dimensions<'_>, tell: impl FnOnce(&B::Outcome)) {
        if let Some(known) = self.outcomes.get(of) {
            return tell(known);
        }
        if !self.is_ready() {
            return tell(&self.make_outcome(&self.unkept(), of));
        }
        let outcome = self
            .outcomes
            .get_or_insert_with(of, |key| {
                self.make_outcome(self.resolved(), &key.dimensions())
            })
            .unwrap_or_else(|| &self.overflow(&self.outcomes).0);
        tell(outcome);
    }

    /// Whether what the backend hands out now may be kept. Asked for new series only.
    #[cold]
    fn is_ready(&self) -> bool {
        let ready = self.config.backend.is_ready();
        if !ready && !self.warned_of_the_void.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                metric = %self.metrics().duration.name,
                "no recorder is installed for the facade `metrics`: what ends before there is one is not counted"
            );
        }
        ready
    }

    /// The series of everything that has none of its own.
    #[cold]
    fn overflow<V>(&self, full: &Series<Key, V>) -> &(B::Outcome, Started<B>) {
        if full.first_refusal() {
            tracing::warn!(
                limit = full.len(),
                metric = %self.metrics().duration.name,
                "too many series: exchanges with new labels are counted in the series \"{OVERFLOW}\""
            );
        }
        self.overflow.get_or_init(|| {
            let everywhere = Dimensions {
                route: Some(OVERFLOW),
                host: Some(OVERFLOW),
                scheme: OVERFLOW,
                unanswered: Some(Unanswered::Overflow),
                ..Dimensions::of_method(OVERFLOW)
            };
            (
                self.make_outcome(self.resolved(), &everywhere),
                self.make_started(self.resolved(), &everywhere),
            )
        })
    }

    #[cold]
    fn make_outcome(&self, instruments: &B::Instruments, of: &Dimensions<'_>) -> B::Outcome {
        let series = SeriesLabels {
            shared: self.config.naming.outcome_labels(self.config.kind, of),
            status: Some(of.status_label().to_owned()),
        };
        self.config.backend.outcome(instruments, series)
    }

    #[cold]
    fn make_started(&self, instruments: &B::Instruments, of: &Dimensions<'_>) -> Started<B> {
        let series = SeriesLabels {
            shared: self.config.naming.in_flight_labels(self.config.kind, of),
            status: None,
        };
        Started {
            in_flight: self.config.backend.in_flight(instruments, series),
            host: of.host.map(Arc::from),
        }
    }

    /// The instruments of the layer, made when the first series is.
    fn resolved(&self) -> &B::Instruments {
        self.resolved.get_or_init(|| self.unkept())
    }

    fn unkept(&self) -> B::Instruments {
        self.config.backend.instruments(Wanted(self.metrics()))
    }

    fn metrics(&self) -> Metrics {
        self.config.naming.metrics(self.config.kind)
    }
}
