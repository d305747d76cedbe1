//! The compared instrumentations of a server.

use std::convert::Infallible;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider;
use tower::{BoxError, Service, ServiceBuilder, layer::util::Identity};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    minimal_spans,
    signals::Signals,
    yardstick::{
        count::Count, counts, exchange::ExchangeLayer, record::RecordAndCount,
        tracing_span::SpanAndCount,
    },
};

/// A function that receives an instrumented application of any type.
pub trait Visitor {
    /// The result of the visit.
    type Output;

    /// Receives the service.
    fn visit<S, B>(self, service: S) -> Self::Output
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

/// An arm: the instrumentation, the sampled percentage of traces and the number of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm<'a> {
    /// The name, as in [`instrument`].
    pub name: &'a str,
    /// The sampled percentage. Default: 100.
    pub sampling: u32,
    /// The number of routes. Default: 1.
    pub routes: usize,
}

impl<'a> Arm<'a> {
    /// Parses `name`, `name@sampling`, `name#routes` or `name@sampling#routes`.
    pub fn parse(text: &'a str) -> Self {
        let (text, routes) = text.split_once('#').unwrap_or((text, "1"));
        let (name, sampling) = text.split_once('@').unwrap_or((text, "100"));
        Self {
            name,
            sampling: sampling.parse().unwrap(),
            routes: routes.parse().unwrap(),
        }
    }

    /// Returns whether the page is served.
    pub fn has_page(&self) -> bool {
        self.name.ends_with(", page")
    }

    /// Returns whether the recorder has keep rules. `tower-otel-init` has them by default.
    pub fn keeps(&self) -> bool {
        self.name.ends_with(", keep")
    }

    /// Returns whether the arm exports spans.
    pub fn has_spans(&self) -> bool {
        ["direct", "record", "tracing + "]
            .iter()
            .any(|spans| self.name.starts_with(spans))
    }
}

/// The limit of series, for applications with many routes.
const SERIES: usize = 200_000;

/// Instruments an application with the arm of this name.
///
/// The router gets its state here, as in `axum::serve`. A router without its state rebuilds
/// its routes for each request.
pub fn instrument<V: Visitor>(
    name: &str,
    app: Router,
    signals: &dyn Signals,
    visitor: V,
) -> V::Output {
    let trace = TraceLayer::server;
    let direct = || trace().tracer_provider(&signals.traces());
    let tracing = || {
        signals.subscriber();
        trace()
    };
    let recorded_tracing = || {
        signals.recorder_subscriber();
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
        "recorded tracing" | "recorded tracing, held" => {
            visitor.visit(layer(app.layer(recorded_tracing())))
        }
        "direct" => visitor.visit(layer(app.layer(direct()))),
        "record" | "record, held" => visitor.visit(layer(app.layer(record()))),
        "direct, by hand" => {
            let spans = minimal_spans::Direct(signals.traces().tracer("by hand"));
            visitor.visit(layer(app.layer(observe(spans))))
        }
        "tracing, by hand" => {
            signals.subscriber();
            visitor.visit(layer(app.layer(observe(minimal_spans::Tracing))))
        }
        "yardstick of metrics" => {
            counts::count_samples();
            visitor.visit(layer(app.layer(ExchangeLayer(Count))))
        }
        "yardstick of record + metrics" => {
            counts::count_samples();
            visitor.visit(layer(app.layer(ExchangeLayer(RecordAndCount))))
        }
        "yardstick of tracing + metrics" => {
            counts::count_samples();
            signals.compact_subscriber();
            visitor.visit(layer(app.layer(ExchangeLayer(SpanAndCount))))
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
        "tracing + metrics" | "tracing + metrics, page" => {
            visitor.visit(layer(app.layer(observe((tracing(), metrics())))))
        }
        "tracing + metrics, around" => {
            let both = observe((tracing(), metrics()));
            visitor.visit(ServiceBuilder::new().layer(both).service(layer(app)))
        }
        "record + metrics" | "record + metrics, keep" => {
            visitor.visit(layer(app.layer(observe((record(), metrics())))))
        }
        "recorded tracing + metrics" => {
            let both = observe((recorded_tracing(), metrics()));
            visitor.visit(layer(app.layer(both)))
        }
        "record + metrics, around" => {
            let both = observe((record(), metrics()));
            visitor.visit(ServiceBuilder::new().layer(both).service(layer(app)))
        }
        unknown => panic!("unknown arm: {unknown:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_parsed_from_its_name() {
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
