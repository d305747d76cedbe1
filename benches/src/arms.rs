//! The ways to watch a server that are compared.

use std::convert::Infallible;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider;
use tower::{BoxError, Service, ServiceBuilder, layer::util::Identity};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::{by_hand, signals::Signals};

/// Takes a watched application, whatever its type became.
pub trait Visitor {
    /// What is made of it.
    type Output;

    /// Called once, with the service.
    fn visit<S, B>(self, service: S) -> Self::Output
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

/// An arm: how an application is watched, how many per cent of the traces are sampled, and how many
/// routes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm<'a> {
    /// Its name, as in [`watch`].
    pub name: &'a str,
    /// All, where nothing is said.
    pub sampling: u32,
    /// One, where nothing is said.
    pub routes: usize,
}

impl<'a> Arm<'a> {
    /// Reads `name`, `name@sampling`, `name#routes` or `name@sampling#routes`.
    pub fn parse(text: &'a str) -> Self {
        let (text, routes) = text.split_once('#').unwrap_or((text, "1"));
        let (name, sampling) = text.split_once('@').unwrap_or((text, "100"));
        Self {
            name,
            sampling: sampling.parse().unwrap(),
            routes: routes.parse().unwrap(),
        }
    }

    /// Whether it exports spans of what is sampled.
    pub fn has_spans(&self) -> bool {
        ["direct", "record", "tracing + "]
            .iter()
            .any(|spans| self.name.starts_with(spans))
    }
}

/// How many series a layer may have, where the application has many routes.
const SERIES: usize = 200_000;

/// Watches an application in the way that is named.
///
/// A router resolves its state here, as `axum::serve` lets it do once: one that is called directly
/// would otherwise build its routes anew for each request.
pub fn watch<V: Visitor>(name: &str, app: Router, signals: &dyn Signals, visitor: V) -> V::Output {
    let trace = TraceLayer::server;
    let direct = || trace().tracer_provider(&signals.traces());
    let tracing = || {
        signals.subscriber();
        trace()
    };
    let record = || trace().recorder(signals.recorder());
    let metrics = || {
        signals.prometheus();
        MetricsLayer::server().series_limit(SERIES)
    };
    let layer = |app: Router| app.with_state(());
    match name {
        "bare" | "bare again" => visitor.visit(layer(app)),
        "no-op" => visitor.visit(layer(app.layer(Identity::new()))),
        "tracing, no subscriber" => visitor.visit(layer(app.layer(trace()))),
        "tracing" => visitor.visit(layer(app.layer(tracing()))),
        "direct" => visitor.visit(layer(app.layer(direct()))),
        "record" => visitor.visit(layer(app.layer(record()))),
        "direct, by hand" => {
            let spans = by_hand::Direct(signals.traces().tracer("by hand"));
            visitor.visit(layer(app.layer(observe(spans))))
        }
        "tracing, by hand" => {
            signals.subscriber();
            visitor.visit(layer(app.layer(observe(by_hand::Tracing))))
        }
        "metrics" => visitor.visit(layer(app.layer(metrics()))),
        "metrics, otel" => {
            let metrics = MetricsLayer::server().meter_provider(&signals.meters());
            visitor.visit(layer(app.layer(metrics)))
        }
        "metrics, around" => {
            visitor.visit(ServiceBuilder::new().layer(metrics()).service(layer(app)))
        }
        "direct + metrics" => visitor.visit(layer(app.layer(observe((direct(), metrics()))))),
        "direct, metrics" => {
            let both = ServiceBuilder::new().layer(direct()).layer(metrics());
            visitor.visit(layer(app.layer(both)))
        }
        "direct + metrics, around" => {
            let both = observe((direct(), metrics()));
            visitor.visit(ServiceBuilder::new().layer(both).service(layer(app)))
        }
        "tracing + metrics" => visitor.visit(layer(app.layer(observe((tracing(), metrics()))))),
        "tracing + metrics, around" => {
            let both = observe((tracing(), metrics()));
            visitor.visit(ServiceBuilder::new().layer(both).service(layer(app)))
        }
        "record + metrics" => visitor.visit(layer(app.layer(observe((record(), metrics()))))),
        "record + metrics, around" => {
            let both = observe((record(), metrics()));
            visitor.visit(ServiceBuilder::new().layer(both).service(layer(app)))
        }
        unknown => panic!("there is no arm {unknown:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_read_from_its_name() {
        let arm = |name, sampling, routes| Arm {
            name,
            sampling,
            routes,
        };
        assert_eq!(Arm::parse("direct"), arm("direct", 100, 1));
        assert_eq!(Arm::parse("direct@10"), arm("direct", 10, 1));
        assert_eq!(Arm::parse("no-op#100"), arm("no-op", 100, 100));
        assert_eq!(Arm::parse("direct@0#7"), arm("direct", 0, 7));
    }
}
