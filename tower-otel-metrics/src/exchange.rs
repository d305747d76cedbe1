//! The life of one exchange in numbers.

use std::{sync::Arc, time::Instant};

use http::{Method, StatusCode};
use tower_otel_core::{
    End, Exchange, Kind, ResponseHead, Route, Routing,
    semconv::{self, KnownMethods, protocol},
};

use crate::{
    backend::{Backend, InFlight, Outcome, Sample},
    dimensions::{Dimensions, Unanswered},
    instruments::{Instruments, Started},
    labels::OwnValues,
    names::Names,
};

/// One exchange: in flight from its start, counted and timed at its end.
#[derive(Debug)]
pub struct MetricsExchange<B: Backend> {
    instruments: Arc<Instruments<B>>,
    started: Started<B>,
    subject: Subject,
    at: Instant,
    /// When the head of the response came, where that is the end of the duration.
    head: Option<Instant>,
    status: Option<StatusCode>,
    received: u64,
}

/// What the labels of an exchange are made from.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) methods: KnownMethods,
    pub(crate) method: Method,
    pub(crate) scheme: &'static str,
    pub(crate) port: Option<u16>,
    /// The protocol of the request on a server, and of the response on a client.
    pub(crate) version: Option<&'static str>,
    pub(crate) routing: Routing,
    pub(crate) own: OwnValues,
    /// What the request promised to send.
    pub(crate) sent: Option<u64>,
}

impl Subject {
    fn method(&self) -> &str {
        self.methods.name(&self.method).unwrap_or(semconv::OTHER)
    }
}

impl<B: Backend> MetricsExchange<B> {
    /// Counts an exchange in. `host` is the target of a client, or the address of a server.
    pub(crate) fn new(
        instruments: &Arc<Instruments<B>>,
        subject: Subject,
        host: Option<&str>,
        at: Instant,
    ) -> Self {
        let config = &instruments.config;
        let naming = &config.naming;
        let route = match (naming.in_flight_by_route, &subject.routing) {
            (true, Routing::Known(route)) => Some(route.as_str()),
            _ => None,
        };
        let method = match (naming.names, config.kind) {
            (Names::Short, Kind::Client) => "",
            _ => subject.method(),
        };
        let started = instruments.started(&Dimensions {
            route,
            host,
            port: subject.port,
            scheme: subject.scheme,
            ..Dimensions::of_method(method)
        });
        started.in_flight.started();
        Self {
            instruments: Arc::clone(instruments),
            started,
            subject,
            at,
            head: None,
            status: None,
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
        if config.kind == Kind::Client {
            self.subject.version = protocol::version(response.version());
        }
        config.labels.respond(&mut self.subject.own, response);
        self.head = config.to_head.then(Instant::now);
    }

    fn data(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let Self {
            instruments,
            started,
            subject,
            at: start,
            head,
            status,
            received,
        } = self;
        let config = &instruments.config;
        let kind = config.kind;
        let route = subject.routing.route();
        let short = Dimensions {
            route: route.as_ref().map(Route::as_str),
            host: started.host.as_deref(),
            port: subject.port,
            status: *status,
            own: config.labels.of(&subject.own),
            ..Dimensions::of_method(subject.method())
        };
        let of = match config.naming.names {
            Names::Short => Dimensions {
                unanswered: status.is_none().then(|| Unanswered::by(end)),
                ..short
            },
            Names::Conventions => Dimensions {
                scheme: subject.scheme,
                version: subject.version,
                error_type: end.error_type(kind, *status),
                ..short
            },
        };
        let lasted = head.unwrap_or(at).saturating_duration_since(*start);
        let cut_short = !matches!(end, End::Complete { .. } | End::Upgraded);
        let sample = Sample {
            seconds: lasted.as_secs_f64(),
            aborted: status.is_some() && cut_short,
            sent: subject.sent,
            received: status.map(|_| *received),
        };
        instruments.outcome(&of, |outcome| outcome.record(sample));
        started.in_flight.ended();
    }
}
