//! The kit itself: what it accepts, what it refuses, and what it says then.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    routing::get,
};
use opentelemetry::trace::{Span as _, Status, Tracer, TracerProvider};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_metrics::MetricsLayer;
use tower_otel_test::{ExpectedSpan, Histogram, SpanKind, TestTelemetry, span};
use tower_otel_trace::TraceLayer;
use tracing::info_span;

/// What an assertion says when it fails.
fn refusal(assertion: impl FnOnce()) -> String {
    let refused = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    *refused.downcast::<String>().unwrap()
}

/// One root, with two children of the same name.
fn record() -> TestTelemetry {
    let telemetry = TestTelemetry::new();
    let installed = telemetry.install();
    info_span!("order", otel.kind = "server", items = 2).in_scope(|| {
        info_span!("charge", amount = 3).in_scope(|| {});
        info_span!("charge", amount = 4, currency = "EUR").in_scope(|| {});
    });
    drop(installed);
    telemetry
}

fn charge(amount: i64) -> ExpectedSpan {
    span("charge").attribute("amount", amount)
}

#[test]
fn siblings_may_come_in_any_order() {
    let telemetry = record();
    let order = || span("order").kind(SpanKind::Server);
    telemetry.assert_spans([order().child(charge(4)).child(charge(3))]);
    telemetry.assert_spans([order().child(charge(3)).child(charge(4))]);
}

#[test]
fn a_vague_expectation_leaves_the_span_that_a_precise_one_needs() {
    let telemetry = record();
    telemetry.assert_spans([span("order").child(span("charge")).child(charge(3))]);
    telemetry.assert_spans([span("order").child(charge(3)).child(span("charge"))]);
}

#[test]
fn the_difference_is_shown_line_by_line_below_the_span_it_belongs_to() {
    let telemetry = record();
    let said = refusal(|| {
        telemetry.assert_spans([span("order")
            .kind(SpanKind::Server)
            .attribute("items", "2")
            .child(charge(3))
            .child(charge(5).without("currency"))]);
    });
    assert_eq!(
        said,
        "\
spans are not as expected:

  order  server
-     items = \"2\"
+     items = 2
    charge
        amount = 3
    charge
-       amount = 5
-       currency = (absent)
+       amount = 4
+       currency = \"EUR\"

recorded:

order  server
    items = 2
  charge
      amount = 3
  charge
      amount = 4
      currency = \"EUR\"
"
    );
}

#[test]
fn a_span_too_many_a_span_too_few_and_a_span_elsewhere_are_refused() {
    let telemetry = record();
    let said = refusal(|| telemetry.assert_spans([span("order").child(charge(3))]));
    assert!(said.contains("+   charge\n"), "{said}");
    let order = span("order").child(charge(3)).child(charge(4));
    let said = refusal(|| telemetry.assert_spans([order.child(span("ship"))]));
    assert!(said.contains("-   ship\n"), "{said}");
    let said = refusal(|| telemetry.assert_spans([span("order"), charge(3), charge(4)]));
    assert!(said.contains("- charge\n"), "{said}");
    let said = refusal(|| telemetry.assert_spans([]));
    assert!(said.contains("- (no span)\n+ order  server\n"), "{said}");
}

#[test]
fn a_failed_span_has_to_be_expected_to_fail() {
    let telemetry = TestTelemetry::new();
    let mut lost = telemetry.tracer_provider().tracer("test").start("lost");
    lost.set_status(Status::error("connection reset"));
    lost.end();
    telemetry.assert_spans([span("lost").failed()]);
    let said = refusal(|| telemetry.assert_spans([span("lost")]));
    assert!(said.contains("- lost\n+ lost  failed\n"), "{said}");
    assert!(telemetry.span("lost").is_failed());
}

#[test]
fn a_span_is_found_by_its_name_if_it_is_the_only_one() {
    let telemetry = record();
    let order = telemetry.span("order");
    assert_eq!(order.attribute("items"), Some(&2.into()));
    assert_eq!(order.attribute("item"), None);
    assert_eq!(order.span_kind, SpanKind::Server);
    let said = refusal(|| drop(telemetry.span("charge")));
    assert!(
        said.starts_with("more than one span is called \"charge\":\n\norder"),
        "{said}"
    );
    let said = refusal(|| drop(telemetry.span("ship")));
    assert!(
        said.starts_with("no span is called \"ship\":\n\norder"),
        "{said}"
    );
}

#[test]
fn metrics_can_be_read_as_often_as_one_likes() {
    let telemetry = TestTelemetry::new();
    let _installed = telemetry.install();
    metrics::counter!("sold", "item" => "lamp", "shop" => "north").increment(2);
    metrics::counter!("sold", "shop" => "south", "item" => "lamp").increment(3);
    metrics::gauge!("stock").set(7.5);
    metrics::histogram!("price").record(2.0);
    metrics::histogram!("price").record(4.0);
    for _ in 0..2 {
        let metrics = telemetry.metrics();
        assert_eq!(metrics.counter("sold", &[("item", "lamp")]), Some(5.0));
        assert_eq!(metrics.counter("sold", &[("shop", "south")]), Some(3.0));
        assert_eq!(metrics.counter("sold", &[("shop", "west")]), None);
        assert_eq!(metrics.counter("stock", &[]), None, "that is a gauge");
        assert_eq!(metrics.gauge("stock", &[]), Some(7.5));
        let prices = Histogram { count: 2, sum: 6.0 };
        assert_eq!(metrics.histogram("price", &[]), Some(prices));
    }
    let said = refusal(|| telemetry.assert_metrics("price count=2\nstock 7.5"));
    assert_eq!(
        said,
        "\
metrics are not as expected:

  price count=2
+ sold{item=\"lamp\",shop=\"north\"} 2
+ sold{item=\"lamp\",shop=\"south\"} 3
  stock 7.5
"
    );
}

#[test]
fn what_is_recorded_before_and_after_is_somebody_elses() {
    let telemetry = TestTelemetry::new();
    let outer = TestTelemetry::new();
    let around = outer.install();
    let within = telemetry.install();
    info_span!("within").in_scope(|| metrics::counter!("within").increment(1));
    drop(within);
    info_span!("around").in_scope(|| metrics::counter!("around").increment(1));
    drop(around);
    info_span!("nobody's").in_scope(|| metrics::counter!("nobodys").increment(1));
    telemetry.assert_spans([span("within")]);
    telemetry.assert_metrics("within 1");
    outer.assert_spans([span("around")]);
    outer.assert_metrics("around 1");
}

fn app(telemetry: &TestTelemetry, by_value: bool) -> Router {
    let router = Router::new().route("/broken", get(|| async { StatusCode::BAD_GATEWAY }));
    if by_value {
        router.layer(
            ServiceBuilder::new()
                .layer(TraceLayer::server().tracer_provider(telemetry.tracer_provider()))
                .layer(MetricsLayer::server().meter_provider(telemetry.meter_provider())),
        )
    } else {
        let layers = ServiceBuilder::new().layer(TraceLayer::server());
        router.layer(layers.layer(MetricsLayer::server()))
    }
}

async fn ask(app: Router) {
    let request = Request::get("/broken").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    to_bytes(response.into_body(), 1000).await.unwrap();
}

#[test]
fn tests_side_by_side_see_only_their_own() {
    let tests = (1..=8).map(|requests| {
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let telemetry = TestTelemetry::new();
            let _installed = telemetry.install();
            let app = app(&telemetry, requests % 2 == 0);
            for _ in 0..requests {
                runtime.block_on(ask(app.clone()));
            }
            let broken = || {
                span("GET /broken")
                    .kind(SpanKind::Server)
                    .failed()
                    .attribute("http.route", "/broken")
                    .attribute("error.type", "502")
            };
            telemetry.assert_spans((0..requests).map(|_| broken()));
            let metrics = telemetry.metrics();
            let counted = metrics.counter("http_requests_total", &[("status", "502")]);
            assert_eq!(counted, Some(f64::from(requests)), "{metrics}");
        })
    });
    for test in tests.collect::<Vec<_>>() {
        test.join().unwrap();
    }
}

#[tokio::test]
async fn waiting_lets_the_other_tasks_of_the_thread_go_on() {
    let telemetry = TestTelemetry::new();
    let _installed = telemetry.install();
    tokio::spawn(async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
            metrics::counter!("steps").increment(1);
        }
    });
    telemetry
        .wait_for("three steps", |telemetry| {
            telemetry.metrics().counter("steps", &[]) == Some(3.0)
        })
        .await;
}
