//! The life of one exchange in numbers.

use std::{sync::Arc, time::Instant};

use http::{StatusCode, Version};
use tower_otel_core::{End, Exchange, Kind, ResponseHead, Route, RouteSlot};

use crate::{
    backend::{MetricsBackend, Sample},
    custom_values::CustomValuesRef,
    dimensions::NoResponse,
    handle_cache::EntryIndex,
    instruments::{Arrived, Instruments},
    keys::Outcome,
    names::Names,
};

/// One exchange: in flight from its start, counted and timed at its end.
///
/// It is moved several times on its way from the request into the body of the response, so it is
/// kept small.
#[derive(Debug)]
pub struct MetricsExchange<B: MetricsBackend> {
    instruments: Arc<Instruments<B>>,
    /// The gauge it was counted in, if that is not where its arrival lies.
    apart: Option<Box<B::InFlight>>,
    /// Where the route may be told on the way.
    late: Option<RouteSlot>,
    clock: Clock,
    own: CustomValuesRef,
    /// What the request promised to send.
    sent: Option<u64>,
    received: u64,
    arrival: Option<EntryIndex>,
    status: Option<StatusCode>,
    /// The protocol of the response, on a client.
    version: Option<Version>,
}

/// What is known of a request besides where it arrived.
#[derive(Debug)]
pub(crate) struct More {
    pub(crate) late: Option<RouteSlot>,
    pub(crate) own: CustomValuesRef,
    pub(crate) sent: Option<u64>,
}

/// The duration.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Since(Instant),
    /// It ended with the head of the response, after so many seconds.
    Stopped(f64),
}

impl Clock {
    fn seconds(self, now: Instant) -> f64 {
        match self {
            Self::Since(start) => now.saturating_duration_since(start).as_secs_f64(),
            Self::Stopped(seconds) => seconds,
        }
    }
}

impl<B: MetricsBackend> MetricsExchange<B> {
    pub(crate) fn new(
        instruments: &Arc<Instruments<B>>,
        arrived: Arrived<B>,
        More { late, own, sent }: More,
        start: Instant,
    ) -> Self {
        Self {
            instruments: Arc::clone(instruments),
            apart: arrived.apart,
            late,
            clock: Clock::Since(start),
            own,
            sent,
            received: 0,
            arrival: arrived.at,
            status: None,
            version: None,
        }
    }
}

impl<B: MetricsBackend> Exchange for MetricsExchange<B> {
    type Entered<'a>
        = ()
    where
        Self: 'a;

    fn enter(&mut self) {}

    fn response(&mut self, response: &dyn ResponseHead) {
        self.status = Some(response.status());
        let config = &self.instruments.config;
        if config.kind == Kind::Client && config.naming.names == Names::Conventions {
            self.version = Some(response.version());
        }
        self.own = self.instruments.asked_of_response(self.own, response);
        if config.to_head {
            self.clock = Clock::Stopped(self.clock.seconds(Instant::now()));
        }
    }

    fn data(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let config = &self.instruments.config;
        let is_answered = self.status.is_some();
        let is_cut_short = !matches!(end, End::Complete { .. } | End::Upgraded);
        let sample = Sample {
            seconds: self.clock.seconds(at),
            aborted: is_answered && is_cut_short,
            sent: self.sent,
            received: is_answered.then_some(self.received),
        };
        let (no_response, error_type) = match config.naming.names {
            Names::Short => ((!is_answered).then(|| NoResponse::from_end(end)), None),
            Names::Conventions => (None, end.error_type(config.kind, self.status)),
        };
        let told = self.late.as_ref().and_then(RouteSlot::get);
        let outcome = Outcome {
            arrival: self.arrival,
            status: self.status,
            no_response,
            error_type,
            version: self.version,
            route: told.as_ref().map(Route::as_str),
            own: self.own,
        };
        self.instruments
            .end(&outcome, self.apart.as_deref(), sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FacadeMetrics;

    #[test]
    fn an_exchange_is_small() {
        assert!(size_of::<Option<MetricsExchange<FacadeMetrics>>>() <= 80);
    }
}
