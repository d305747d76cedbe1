//! The instruments of one layer, shared by its clones and their exchanges.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::Method;
use tower_otel_core::{RequestHead, ResponseHead};

use crate::{
    backend::{InFlightGauge, MetricsBackend, OutcomeInstruments, Sample, SeriesLabels},
    config::Config,
    custom_labels::CustomValues,
    custom_values::{CustomValueTable, CustomValuesRef},
    dimensions::{Dimensions, NoResponse, OVERFLOW},
    handle_cache::{EntryIndex, FoundEntry, HandleCache, Query},
    keys::{Arrival, ArrivalKey, Outcome, OutcomeKey},
    names::MetricSet,
};

/// How many series a layer makes of each kind before it counts in the overflow series.
pub(crate) const DEFAULT_LIMIT: usize = 2_000;

#[derive(Debug)]
pub(crate) struct Instruments<B: MetricsBackend> {
    pub(crate) config: Config<B>,
    resolved: OnceLock<B::Instruments>,
    arrivals: HandleCache<ArrivalKey, Known<B>>,
    in_flight: HandleCache<ArrivalKey, B::InFlight>,
    outcomes: HandleCache<OutcomeKey, B::Outcome>,
    values: CustomValueTable,
    overflow: OnceLock<(B::Outcome, B::InFlight)>,
    warned_of_the_void: AtomicBool,
}

/// The instruments of those that arrive alike.
#[derive(Debug)]
struct Known<B: MetricsBackend> {
    in_flight: B::InFlight,
    /// The first outcome they had, which is what most of them will have: handles that lie in
    /// `outcomes` as well, found here without another look into memory that is seldom warm.
    usual: OnceLock<(OutcomeKey, B::Outcome)>,
}

/// Where an exchange was counted in.
#[derive(Debug)]
pub(crate) struct Arrived<B: MetricsBackend> {
    /// Where its arrival lies; nowhere if there was no room left.
    pub(crate) at: Option<EntryIndex>,
    /// The gauge it was counted in, if that is not to be found there.
    pub(crate) apart: Option<Box<B::InFlight>>,
}

impl<B: MetricsBackend> Arrived<B> {
    fn at(at: EntryIndex) -> Self {
        Self {
            at: Some(at),
            apart: None,
        }
    }
}

impl<B: MetricsBackend> Instruments<B> {
    pub(crate) fn new(config: Config<B>) -> Self {
        Self {
            resolved: OnceLock::new(),
            arrivals: HandleCache::new(config.limit),
            in_flight: HandleCache::new(config.limit),
            outcomes: HandleCache::new(config.limit),
            values: CustomValueTable::new(&config.labels, config.limit),
            config,
            overflow: OnceLock::new(),
            warned_of_the_void: AtomicBool::new(false),
        }
    }

    /// The values of the caller's labels that are made from the request.
    #[inline]
    pub(crate) fn asked_of_request(&self, request: &dyn RequestHead) -> CustomValuesRef {
        let labels = &self.config.labels;
        if labels.is_empty() {
            return CustomValuesRef::Empty;
        }
        self.add(CustomValuesRef::Empty, labels.request_values(request))
    }

    /// The same with those that are made from the response.
    #[inline]
    pub(crate) fn asked_of_response(
        &self,
        before: CustomValuesRef,
        response: &dyn ResponseHead,
    ) -> CustomValuesRef {
        let labels = &self.config.labels;
        if labels.is_empty() {
            return before;
        }
        self.add(before, labels.response_values(response))
    }

    fn add(&self, before: CustomValuesRef, values: Option<CustomValues>) -> CustomValuesRef {
        values.map_or(before, |values| self.values.add(before, &values))
    }

    /// Counts an exchange in, whose method may be any.
    ///
    /// Only known methods are kept, so one that is found by its name is known.
    #[inline]
    pub(crate) fn arrive(&self, arrival: Arrival<&Method, &str>) -> Arrived<B> {
        match self.arrivals.get_with_index(&arrival) {
            Some((at, known)) => {
                known.in_flight.started();
                Arrived::at(at)
            }
            None => self.arrive_unfound(arrival),
        }
    }

    #[cold]
    fn arrive_unfound(&self, mut arrival: Arrival<&Method, &str>) -> Arrived<B> {
        let methods = &self.config.methods;
        arrival.method = arrival.method.filter(|name| methods.name(name).is_some());
        let found = self.arrivals.find_or_insert(&arrival);
        let at = found.as_ref().map(|found| found.index);
        if !self.is_ready() {
            let in_flight = self.make_in_flight(&self.unkept(), &arrival.dimensions());
            in_flight.started();
            let apart = Some(Box::new(in_flight));
            return Arrived { at, apart };
        }
        let in_flight = self
            .in_flight
            .get_or_insert_with(&self.config.in_flight(arrival), |key| {
                self.make_in_flight(self.resolved(), &key.borrowed().dimensions())
            })
            .unwrap_or_else(|| &self.overflow().1);
        in_flight.started();
        let Some(FoundEntry { index, entry }) = found else {
            let apart = Some(Box::new(in_flight.clone()));
            return Arrived { at, apart };
        };
        entry.get_or_init(|_| Known {
            in_flight: in_flight.clone(),
            usual: OnceLock::new(),
        });
        Arrived::at(index)
    }

    /// Tells the instruments of an exchange that has ended, and counts it out where it was counted
    /// in. What arrived nowhere is told to the overflow series.
    #[inline]
    pub(crate) fn end(&self, of: &Outcome<'_>, apart: Option<&B::InFlight>, sample: Sample) {
        let known = of.arrival.and_then(|at| self.known(at));
        match known.and_then(|known| known.usual.get()) {
            Some((key, outcome)) if of.matches(key) => outcome.record(sample),
            _ => self.end_otherwise(of, sample),
        }
        if let Some(in_flight) = apart.or(known.map(|known| &known.in_flight)) {
            in_flight.ended();
        }
    }

    #[inline]
    fn known(&self, at: EntryIndex) -> Option<&Known<B>> {
        self.arrivals.entry(at)?.get()
    }

    #[inline(never)]
    fn end_otherwise(&self, of: &Outcome<'_>, sample: Sample) {
        match self.outcomes.get(of) {
            Some(outcome) => outcome.record(sample),
            None => self.end_first(of, sample),
        }
    }

    #[cold]
    fn end_first(&self, of: &Outcome<'_>, sample: Sample) {
        let own = self.values.get(of.own);
        let known = of
            .arrival
            .filter(|_| of.own != CustomValuesRef::Overflow)
            .and_then(|at| {
                let arrival = self.arrivals.entry(at)?.key.borrowed();
                Some((at, of.dimensions(arrival, &own)))
            });
        if !self.is_ready() {
            let dimensions = known.map_or(everything(), |(_, dimensions)| dimensions);
            let outcome = self.make_outcome(&self.unkept(), &dimensions);
            return outcome.record(sample);
        }
        let outcome = known.and_then(|(at, dimensions)| {
            let outcome = self
                .outcomes
                .get_or_insert_with(of, |_| self.make_outcome(self.resolved(), &dimensions))?;
            if let Some(known) = self.known(at) {
                known.usual.get_or_init(|| (of.to_key(), outcome.clone()));
            }
            Some(outcome)
        });
        outcome.unwrap_or_else(|| &self.overflow().0).record(sample);
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
    fn overflow(&self) -> &(B::Outcome, B::InFlight) {
        if self.outcomes.first_overflow() {
            tracing::warn!(
                limit = self.config.limit,
                metric = %self.metrics().duration.name,
                "too many series: exchanges with new labels are counted in the series \"{OVERFLOW}\""
            );
        }
        self.overflow.get_or_init(|| {
            (
                self.make_outcome(self.resolved(), &everything()),
                self.make_in_flight(self.resolved(), &everything()),
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
    fn make_in_flight(&self, instruments: &B::Instruments, of: &Dimensions<'_>) -> B::InFlight {
        let series = SeriesLabels {
            shared: self.config.naming.in_flight_labels(self.config.kind, of),
            status: None,
        };
        self.config.backend.in_flight(instruments, series)
    }

    /// The instruments of the layer, made when the first series is.
    fn resolved(&self) -> &B::Instruments {
        self.resolved.get_or_init(|| self.unkept())
    }

    fn unkept(&self) -> B::Instruments {
        self.config.backend.instruments(self.metrics())
    }

    fn metrics(&self) -> MetricSet {
        self.config.naming.metrics(self.config.kind)
    }
}

/// What the overflow series says of itself.
fn everything() -> Dimensions<'static> {
    Dimensions {
        route: Some(OVERFLOW),
        host: Some(OVERFLOW),
        scheme: OVERFLOW,
        no_response: Some(NoResponse::Overflow),
        ..Dimensions::new(OVERFLOW)
    }
}
