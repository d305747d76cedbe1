//! Layers over one service.

use http::Request;
use tower::ServiceBuilder;
use tower_otel_core::observe;

use crate::{
    callback::Callback::*,
    case::{Kind, cases, run, run_request},
};

#[test]
fn the_caller_is_the_parent_if_a_filter_or_a_route_function_panics() {
    cases(|case| {
        if case.kind != Kind::Server || !matches!(case.callback, TraceFilter | TraceRoute) {
            return;
        }
        for tracestate in [None, Some("a=1")] {
            let request = Request::get("/").header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            );
            let request = match tracestate {
                Some(state) => request.header("tracestate", state),
                None => request,
            };
            run_request(&case, case.trace(), request.body(()).unwrap());
        }
        for span in case.telemetry.spans() {
            let parent = span.parent_span_id.to_string();
            assert_eq!(parent, "b7ad6b7169203331", "{case:?}");
        }
        case.assert_spans_panicked(2);
    });
}

#[test]
fn joined_layers_end_as_panic() {
    cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        run(&case, observe(layers));
        case.assert_panicked();
    });
}

#[test]
fn joined_layers_in_the_other_order_end_as_panic() {
    cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.callback.propagate(), metrics, case.trace());
        run(&case, observe(layers));
        case.assert_panicked();
    });
}

#[test]
fn layers_around_the_one_that_panics_end_as_panic() {
    cases(|case| {
        let layers = ServiceBuilder::new()
            .layer(case.trace())
            .layer(case.metrics())
            .layer(case.otel_metrics())
            .layer(case.callback.propagate());
        run(&case, layers.into_inner());
        case.assert_spans_panicked(1);
        // A layer inside the one that panics is not called.
        if !matches!(
            case.callback,
            SharedFilter | SharedRoute | TraceFilter | TraceRoute | RemoteParent | Extract
        ) {
            assert_eq!(case.count(&[("status", "panic")]), case.count(&[]));
            assert_eq!(case.count(&[]), 1.0, "{case:?}");
        }
        assert_eq!(case.in_flight(), 0.0, "{case:?}");
    });
}
