//! Assertions: what they accept, what they reject, and their messages.

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
use opentelemetry::{
    metrics::MeterProvider,
    trace::{Span as _, Status, Tracer, TracerProvider},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_metrics::MetricsLayer;
use tower_otel_test::{ExpectedSpan, Histogram, SpanKind, TestTelemetry, span};
use tower_otel_trace::TraceLayer;
use tracing::info_span;

/// Returns the message of a failed assertion.
fn failure_message(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

/// Records a root with two children of the same name.
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
fn expected_spans_are_assigned_so_that_as_many_as_possible_match() {
    let telemetry = record();
    telemetry.assert_spans([span("order").child(span("charge")).child(charge(3))]);
    telemetry.assert_spans([span("order").child(charge(3)).child(span("charge"))]);
}

/// Records a chain of spans, one inside the other, and what the innermost contains.
fn record_chain(depth: usize, innermost: &dyn Fn()) {
    match depth {
        0 => innermost(),
        _ => info_span!("link").in_scope(|| record_chain(depth - 1, innermost)),
    }
}

/// Returns the expected spans of a chain, with what the innermost contains.
fn chain(depth: usize, innermost: impl Iterator<Item = ExpectedSpan>) -> ExpectedSpan {
    let last = innermost.fold(span("link"), ExpectedSpan::child);
    (1..depth).fold(last, |chain, _| span("link").child(chain))
}

#[test]
fn many_equal_spans_are_compared_in_a_short_time() {
    const DEPTH: usize = 40;
    const SIBLINGS: usize = 40;
    let telemetry = TestTelemetry::new();
    let installed = telemetry.install();
    record_chain(DEPTH, &|| {
        for _ in 0..SIBLINGS {
            record_chain(3, &|| info_span!("leaf").in_scope(|| {}));
        }
    });
    drop(installed);
    let siblings = || (0..SIBLINGS).map(|_| chain(3, [span("leaf")].into_iter()));
    telemetry.assert_spans([chain(DEPTH, siblings())]);
    // The last sibling differs.
    let other = chain(3, [span("leaf").attribute("amount", 3)].into_iter());
    let siblings = siblings().skip(1).chain([other]);
    let message = failure_message(|| telemetry.assert_spans([chain(DEPTH, siblings)]));
    assert_eq!(message.matches("\n-").count(), 1, "{message}");
}

#[test]
fn metrics_can_be_read_by_many_threads_at_once() {
    let telemetry = TestTelemetry::new();
    let counter = telemetry
        .meter_provider()
        .meter("shop")
        .u64_counter("orders")
        .build();
    counter.add(3, &[]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let metrics = telemetry.metrics();
                    assert_eq!(metrics.counter("orders", &[]), Some(3.0), "{metrics}");
                }
            });
        }
    });
}

#[test]
fn a_failure_message_shows_differing_lines_below_their_span() {
    let telemetry = record();
    let message = failure_message(|| {
        telemetry.assert_spans([span("order")
            .kind(SpanKind::Server)
            .attribute("items", "2")
            .child(charge(3))
            .child(charge(5).without_attribute("currency"))]);
    });
    assert_eq!(
        message,
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
fn additional_missing_and_misplaced_spans_are_rejected() {
    let telemetry = record();
    let message = failure_message(|| telemetry.assert_spans([span("order").child(charge(3))]));
    assert!(message.contains("+   charge\n"), "{message}");
    let order = span("order").child(charge(3)).child(charge(4));
    let message = failure_message(|| telemetry.assert_spans([order.child(span("ship"))]));
    assert!(message.contains("-   ship\n"), "{message}");
    let message = failure_message(|| telemetry.assert_spans([span("order"), charge(3), charge(4)]));
    assert!(message.contains("- charge\n"), "{message}");
    let message = failure_message(|| telemetry.assert_spans([]));
    assert!(
        message.contains("- (no span)\n+ order  server\n"),
        "{message}"
    );
}

#[test]
fn a_failed_span_matches_only_if_failure_is_expected() {
    let telemetry = TestTelemetry::new();
    let mut lost = telemetry.tracer_provider().tracer("test").start("lost");
    lost.set_status(Status::error("connection reset"));
    lost.end();
    telemetry.assert_spans([span("lost").failed()]);
    let message = failure_message(|| telemetry.assert_spans([span("lost")]));
    assert!(message.contains("- lost\n+ lost  failed\n"), "{message}");
    assert!(telemetry.span("lost").is_failed());
}

#[test]
fn a_span_is_returned_by_name_if_it_is_the_only_one() {
    let telemetry = record();
    let order = telemetry.span("order");
    assert_eq!(order.attribute("items"), Some(&2.into()));
    assert_eq!(order.attribute("item"), None);
    assert_eq!(order.span_kind, SpanKind::Server);
    let message = failure_message(|| drop(telemetry.span("charge")));
    assert!(
        message.starts_with("more than one span has the name \"charge\":\n\norder"),
        "{message}"
    );
    let message = failure_message(|| drop(telemetry.span("ship")));
    assert!(
        message.starts_with("no span has the name \"ship\":\n\norder"),
        "{message}"
    );
}

#[test]
fn reading_metrics_does_not_reset_them() {
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
        assert_eq!(metrics.counter("stock", &[]), None, "stock is a gauge");
        assert_eq!(metrics.gauge("stock", &[]), Some(7.5));
        let prices = Histogram { count: 2, sum: 6.0 };
        assert_eq!(metrics.histogram("price", &[]), Some(prices));
    }
    let message = failure_message(|| telemetry.assert_metrics("price count=2\nstock 7.5"));
    assert_eq!(
        message,
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
fn only_what_happens_while_installed_is_recorded() {
    let telemetry = TestTelemetry::new();
    let outer = TestTelemetry::new();
    let outer_guard = outer.install();
    let inner_guard = telemetry.install();
    info_span!("inner").in_scope(|| metrics::counter!("inner").increment(1));
    drop(inner_guard);
    info_span!("outer").in_scope(|| metrics::counter!("outer").increment(1));
    drop(outer_guard);
    info_span!("none").in_scope(|| metrics::counter!("none").increment(1));
    telemetry.assert_spans([span("inner")]);
    telemetry.assert_metrics("inner 1");
    outer.assert_spans([span("outer")]);
    outer.assert_metrics("outer 1");
}

fn app(telemetry: &TestTelemetry, pass_providers: bool) -> Router {
    let router = Router::new().route("/broken", get(|| async { StatusCode::BAD_GATEWAY }));
    if pass_providers {
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

async fn send_request(app: Router) {
    let request = Request::get("/broken").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    to_bytes(response.into_body(), 1000).await.unwrap();
}

#[test]
fn parallel_tests_record_only_their_own_telemetry() {
    let tests = (1..=8).map(|requests| {
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let telemetry = TestTelemetry::new();
            let _installed = telemetry.install();
            let app = app(&telemetry, requests % 2 == 0);
            for _ in 0..requests {
                runtime.block_on(send_request(app.clone()));
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
async fn waiting_lets_other_tasks_of_the_thread_run() {
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

#[tokio::test]
async fn a_failure_with_an_unread_body_names_the_span_and_says_that_the_body_is_not_read() {
    let telemetry = TestTelemetry::new();
    let _installed = telemetry.install();
    let app = Router::new()
        .route("/greeting", get(|| async { "hello" }))
        .layer(TraceLayer::server());
    let request = Request::get("/greeting").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let assertions: [&dyn Fn(); 3] = [
        &|| telemetry.assert_spans([span("GET /greeting")]),
        &|| drop(telemetry.span("GET /greeting")),
        &|| telemetry.assert_metrics("http_requests_total 1"),
    ];
    for assertion in assertions {
        let message = failure_message(assertion);
        let open = "\nnot recorded, because they have not ended:\n\nGET /greeting  server\n";
        assert!(message.contains(open), "{message}");
        assert!(message.contains("read the body to its end"), "{message}");
    }
    to_bytes(response.into_body(), 100).await.unwrap();
    telemetry.assert_spans([span("GET /greeting")]);
    let message = failure_message(|| telemetry.assert_spans([]));
    assert!(!message.contains("not ended"), "{message}");
}

#[test]
fn a_failure_with_an_open_span_that_is_no_request_says_nothing_of_bodies() {
    let telemetry = TestTelemetry::new();
    let open = telemetry.tracer_provider().tracer("test").start("job");
    let message = failure_message(|| drop(telemetry.span("job")));
    assert!(message.ends_with("not ended:\n\njob\n"), "{message}");
    drop(open);
}
