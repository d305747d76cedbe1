//! The life of one exchange in numbers.

use std::{sync::Arc, time::Instant};

use http::{Method, StatusCode, Version};
use tower_otel_core::{End, Exchange, Kind, ResponseHead, Route, RouteSlot};

use crate::{
    backend::{Backend, Outcome as _, Sample},
    dimensions::Unanswered,
    instruments::{Arrived, Instruments},
    keys::{Arrival, Outcome},
    labels::{Own, OwnValues},
    names::Names,
};

/// One exchange: in flight from its start, counted and timed at its end.
#[derive(Debug)]
pub struct MetricsExchange<B: Backend> {
    instruments: Arc<Instruments<B>>,
    arrived: Arrived<B>,
    /// Where the route may be told on the way.
    late: Option<RouteSlot>,
    own: Own,
    /// What the request promised to send.
    sent: Option<u64>,
    at: Instant,
    /// When the head of the response came, where that is the end of the duration.
    head: Option<Instant>,
    status: Option<StatusCode>,
    /// The protocol of the response, on a client.
    version: Option<Version>,
    received: u64,
}

/// What is known of a request besides its [`Arrival`].
#[derive(Debug)]
pub(crate) struct More {
    pub(crate) late: Option<RouteSlot>,
    pub(crate) own: Option<OwnValues>,
    pub(crate) sent: Option<u64>,
}

impl<B: Backend> MetricsExchange<B> {
    /// Counts an exchange in.
    pub(crate) fn new(
        instruments: &Arc<Instruments<B>>,
        arrival: Arrival<&Method, &str>,
        More { late, own, sent }: More,
        at: Instant,
    ) -> Self {
        let values = &instruments.values;
        Self {
            own: own.map_or(Own::Nothing, |own| values.add(Own::Nothing, &own)),
            arrived: instruments.arrive(arrival),
            instruments: Arc::clone(instruments),
            late,
            sent,
            at,
            head: None,
            status: None,
            version: None,
            received: 0,
        }
    }
}

impl<B: Backend> Exchange for MetricsExchange<B> {
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
        if let Some(values) = config.labels.response(response) {
            self.own = self.instruments.values.add(self.own, &values);
        }
        self.head = config.to_head.then(Instant::now);
    }

    fn data(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let Self {
            instruments,
            arrived,
            late,
            own,
            sent,
            at: start,
            head,
            status,
            version,
            received,
        } = self;
        let config = &instruments.config;
        let lasted = head.unwrap_or(at).saturating_duration_since(*start);
        let cut_short = !matches!(end, End::Complete { .. } | End::Upgraded);
        let sample = Sample {
            seconds: lasted.as_secs_f64(),
            aborted: status.is_some() && cut_short,
            sent: *sent,
            received: status.map(|_| *received),
        };
        let (unanswered, error_type) = match config.naming.names {
            Names::Short => (status.is_none().then(|| Unanswered::by(end)), None),
            Names::Conventions => (None, end.error_type(config.kind, *status)),
        };
        let told = late.as_ref().and_then(RouteSlot::get);
        let of = arrived.at.map(|arrival| Outcome {
            arrival,
            status: *status,
            unanswered,
            error_type,
            version: *version,
            route: told.as_ref().map(Route::as_str),
            own: *own,
        });
        instruments.outcome(of.as_ref(), |outcome| outcome.record(sample));
        instruments.leave(arrived);
    }
}
