//! The compared instrumentations of a client.

use std::{convert::Infallible, future::ready};

use axum::body::Body;
use http::{Request, Response};
use opentelemetry::{
    Context, ContextGuard, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tower::{ServiceBuilder, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    app,
    exchange::{Exchanges, Subject, exchange},
    signals::{DiscardingSignals, Signals},
};

/// Makes a span current until the guard is dropped. It is the parent of the client spans.
pub fn attach_parent_span() -> ContextGuard {
    let span = SpanContext::new(
        TraceId::from(fastrand::u128(1..)),
        SpanId::from(fastrand::u64(1..)),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(span).attach()
}

/// Instruments a client without a network with the arm of this name.
pub fn instrument(name: &str, signals: &DiscardingSignals) -> Box<dyn Subject> {
    let respond = service_fn(|request: Request<Body>| {
        drop(request);
        ready(Ok::<_, Infallible>(Response::new(Body::from("hello"))))
    });
    let trace = || TraceLayer::client().tracer_provider(&signals.traces());
    let tracing = || {
        signals.subscriber();
        TraceLayer::client()
    };
    let record = || TraceLayer::client().recorder(signals.recorder());
    let metrics = || {
        signals.prometheus();
        MetricsLayer::client()
    };
    let inject = PropagateLayer::new;
    macro_rules! subject {
        ($layer:expr) => {{
            let service = ServiceBuilder::new().layer($layer).service(respond);
            Exchanges::subject(
                |_| app::outgoing(),
                move |request| exchange(service.clone(), request),
                signals.flush(),
            )
        }};
    }
    match name {
        "call" | "call again" => subject!(tower::layer::util::Identity::new()),
        "inject" => subject!(inject()),
        "client metrics" => subject!(metrics()),
        "client direct + inject" => subject!(observe((trace(), inject()))),
        "client record + inject" => subject!(observe((record(), inject()))),
        "client tracing + inject" => subject!(observe((tracing(), inject()))),
        "client direct + metrics + inject" => subject!(observe((trace(), metrics(), inject()))),
        unknown => panic!("unknown arm: {unknown:?}"),
    }
}
