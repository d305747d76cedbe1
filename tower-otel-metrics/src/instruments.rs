//! The instruments of one layer, shared by its clones and their exchanges.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::Method;
use tower_otel_core::{RequestHead, ResponseHead};

use crate::{
    backend::{Backend, InFlight, Outcome as _, Sample, SeriesLabels, Wanted},
    config::Config,
    dimensions::{Dimensions, OVERFLOW, Unanswered},
    keys::{Arrival, ArrivalKey, Outcome, OutcomeKey},
    labels::{Own, OwnValues, Values},
    names::Metrics,
    series::{At, Found, Query, Series},
};

/// How many series a layer makes of each kind before it counts in the overflow series.
pub(crate) const DEFAULT_LIMIT: usize = 2_000;

#[derive(Debug)]
pub(crate) struct Instruments<B: Backend> {
    pub(crate) config: Config<B>,
    resolved: OnceLock<B::Instruments>,
    arrivals: Series<ArrivalKey, Known<B>>,
    in_flight: Series<ArrivalKey, B::InFlight>,
    outcomes: Series<OutcomeKey, B::Outcome>,
    values: Values,
    overflow: OnceLock<(B::Outcome, B::InFlight)>,
    warned_of_the_void: AtomicBool,
}

/// The instruments of those that arrive alike.
#[derive(Debug)]
struct Known<B: Backend> {
    in_flight: B::InFlight,
    /// The first outcome they had, which is what most of them will have: handles that lie in
    /// `outcomes` as well, found here without another look into memory that is seldom warm.
    usual: OnceLock<(OutcomeKey, B::Outcome)>,
}

/// Where an exchange was counted in.
#[derive(Debug)]
pub(crate) struct Arrived<B: Backend> {
    /// Where its arrival lies; nowhere if there was no room left.
    pub(crate) at: Option<At>,
    /// The gauge it was counted in, if that is not to be found there.
    pub(crate) apart: Option<Box<B::InFlight>>,
}

impl<B: Backend> Arrived<B> {
    fn at(at: At) -> Self {
        Self {
            at: Some(at),
            apart: None,
        }
    }
}

impl<B: Backend> Instruments<B> {
    pub(crate) fn new(config: Config<B>) -> Self {
        Self {
            resolved: OnceLock::new(),
            arrivals: Series::new(config.limit),
            in_flight: Series::new(config.limit),
            outcomes: Series::new(config.limit),
            values: Values::new(&config.labels, config.limit),
            config,
            overflow: OnceLock::new(),
            warned_of_the_void: AtomicBool::new(false),
        }
    }

    /// The values of the caller's labels that are made from the request.
    #[inline]
    pub(crate) fn asked_of_request(&self, request: &dyn RequestHead) -> Own {
        let labels = &self.config.labels;
        if labels.is_empty() {
            return Own::Nothing;
        }
        self.add(Own::Nothing, labels.request(request))
    }

    /// The same with those that are made from the response.
    #[inline]
    pub(crate) fn asked_of_response(&self, before: Own, response: &dyn ResponseHead) -> Own {
        let labels = &self.config.labels;
        if labels.is_empty() {
            return before;
        }
        self.add(before, labels.response(response))
    }

    fn add(&self, before: Own, values: Option<OwnValues>) -> Own {
        values.map_or(before, |values| self.values.add(before, &values))
    }

    /// Counts an exchange in, whose method may be any.
    ///
    /// Only known methods are kept, so one that is found by its name is known.
    #[inline]
    pub(crate) fn arrive(&self, arrival: Arrival<&Method, &str>) -> Arrived<B> {
        match self.arrivals.get_at(&arrival) {
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
        let found = self.arrivals.find(&arrival);
        let at = found.as_ref().map(|found| found.at);
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
        let Some(Found { at, entry }) = found else {
            let apart = Some(Box::new(in_flight.clone()));
            return Arrived { at, apart };
        };
        entry.get_or_make(|_| Known {
            in_flight: in_flight.clone(),
            usual: OnceLock::new(),
        });
        Arrived::at(at)
    }

    /// Tells the instruments of an exchange that has ended, and counts it out where it was counted
    /// in. What arrived nowhere is told to the overflow series.
    #[inline]
    pub(crate) fn end(&self, of: &Outcome<'_>, apart: Option<&B::InFlight>, sample: Sample) {
        let known = of.arrival.and_then(|at| self.known(at));
        match known.and_then(|known| known.usual.get()) {
            Some((key, outcome)) if of.is(key) => outcome.record(sample),
            _ => self.end_otherwise(of, sample),
        }
        if let Some(in_flight) = apart.or(known.map(|known| &known.in_flight)) {
            in_flight.ended();
        }
    }

    #[inline]
    fn known(&self, at: At) -> Option<&Known<B>> {
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
            .filter(|_| of.own != Own::TooMany)
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
        if self.outcomes.first_refusal() {
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
        self.config.backend.instruments(Wanted(self.metrics()))
    }

    fn metrics(&self) -> Metrics {
        self.config.naming.metrics(self.config.kind)
    }
}

/// What the overflow series says of itself.
fn everything() -> Dimensions<'static> {
    Dimensions {
        route: Some(OVERFLOW),
        host: Some(OVERFLOW),
        scheme: OVERFLOW,
        unanswered: Some(Unanswered::Overflow),
        ..Dimensions::of_method(OVERFLOW)
    }
}
