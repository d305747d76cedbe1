//! Layers that record calls of gRPC.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context as TaskContext, Waker},
};

use http::{Request, Response};
use suite_tests::telemetry::text;
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;

use crate::{
    callback::Callback::*,
    case::{Case, Inner, cases, hello},
};

/// Sends one gRPC call. Returns `false` if the function is not called for it.
fn call_panics<S, B>(case: &Case, layer: impl Layer<Inner, Service = S>) -> bool
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let request = Request::post("http://api.example/shop.Cart/Unary")
        .version(http::Version::HTTP_2)
        .header(http::header::CONTENT_TYPE, "application/grpc");
    let mut exchange = pin!(service.call(request.body(()).unwrap()));
    let cx = &mut TaskContext::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| exchange.as_mut().poll(cx).is_ready()));
    polled.map_err(|panic| case.assert_payload(panic)).is_err()
}

#[test]
fn calls_of_grpc_end_as_panic() {
    cases(|case| {
        let layer = case.callback.trace(case.kind.trace().grpc());
        let trace = case.backend.layer(case.telemetry.source(), layer);
        let metrics = case.callback.metrics(case.kind.metrics().grpc());
        let panics = call_panics(&case, observe((trace, metrics, case.callback.propagate())));
        // A call has a method instead of a route.
        let is_called = !matches!(case.callback, SharedRoute | TraceRoute | MetricsRoute);
        assert_eq!(panics, is_called, "{case:?}");
        if panics {
            let spans = case.telemetry.spans();
            assert_eq!(spans.len(), 1, "{case:?}");
            let error = text(&spans[0], "error.type");
            assert_eq!(error.as_deref(), Some("panic"), "{case:?}");
        }
        let sum = |metric: &str| case.telemetry.sum(&metric.replace("http", "grpc"), &[]);
        let metrics = case.telemetry.metrics();
        let count = sum(case.kind.requests()) + case.count(&[]);
        assert_eq!(count, 1.0, "{case:?}: {metrics}");
        let in_flight = sum(case.kind.in_flight()) + case.in_flight();
        assert_eq!(in_flight, 0.0, "{case:?}: {metrics}");
    });
}
