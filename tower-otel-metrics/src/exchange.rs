//! The life of one exchange in numbers.

use std::{sync::Arc, time::Instant};

use http::{Method, StatusCode};
use tower_otel_core::{
    End, Exchange, Kind, ResponseHead, Route, Routing,
    semconv::{self, KnownMethods, protocol},
};

use crate::{
    backend::{Backend, InFlight, Outcome},
    dimensions::{Dimensions, Unanswered},
    instruments::{Instruments, Started},
    names::Names,
};

/// One exchange: in flight from its start, counted and timed at its end.
#[derive(Debug)]
pub struct MetricsExchange<B: Backend> {
    instruments: Arc<Instruments<B>>,
    started: Started<B>,
    subject: Subject,
    at: Instant,
    status: Option<StatusCode>,
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
}

impl Subject {
    fn method(&self) -> &str {
        self.methods.name(&self.method).unwrap_or(semconv::OTHER)
    }

    /// What is known, and asked for, when an exchange starts.
    fn at_start<'a>(&'a self, names: Names, host: Option<&'a str>) -> Dimensions<'a> {
        match (names, host) {
            (Names::Short, None) => Dimensions::of_method(self.method()),
            (Names::Short, Some(_)) => Dimensions {
                place: host,
                port: self.port,
                ..Dimensions::of_method("")
            },
            (Names::Conventions, _) => Dimensions {
                place: host,
                port: self.port,
                scheme: self.scheme,
                ..Dimensions::of_method(self.method())
            },
        }
    }
}

impl<B: Backend> MetricsExchange<B> {
    /// Counts an exchange in. `host` is the target of a client.
    pub(crate) fn new(
        instruments: &Arc<Instruments<B>>,
        subject: Subject,
        host: Option<&str>,
        at: Instant,
    ) -> Self {
        let started = instruments
            .started(&subject.at_start(instruments.names(), host))
            .clone();
        started.in_flight.started();
        Self {
            instruments: Arc::clone(instruments),
            started,
            subject,
            at,
            status: None,
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
        if self.instruments.kind() == Kind::Client {
            self.subject.version = protocol::version(response.version());
        }
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let Self {
            instruments,
            started,
            subject,
            at: start,
            status,
        } = self;
        let kind = instruments.kind();
        let route = subject.routing.route();
        let place = match kind {
            Kind::Server => route.as_ref().map(Route::as_str),
            Kind::Client => started.place.as_deref(),
        };
        let short = Dimensions {
            place,
            port: subject.port,
            status: *status,
            ..Dimensions::of_method(subject.method())
        };
        let outcome = instruments.outcome(&match instruments.names() {
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
        });
        outcome.record(at.saturating_duration_since(*start).as_secs_f64());
        if status.is_some() && !matches!(end, End::Complete { .. } | End::Upgraded) {
            outcome.aborted();
        }
        started.in_flight.ended();
    }
}
