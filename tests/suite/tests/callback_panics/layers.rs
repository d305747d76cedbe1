//! Layers over one service.

use tower::ServiceBuilder;
use tower_otel_core::observe;

use crate::{
    callback::Callback::*,
    case::{cases, run},
};

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
