//! Records the spans and metrics of one test in memory. Tests can run in parallel, because each test has its
//! own spans and metrics. A failed assertion shows the difference line by line.
//!
//! The crate records `tracing` spans, metrics of the `metrics` facade, and spans and metrics of OpenTelemetry
//! providers. It does not depend on the other `tower-otel` crates.
//!
//! # A complete test
//!
//! ```
//! use axum::{Router, body::{Body, to_bytes}, extract::Path, http::Request, routing::get};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_test::{SpanKind, TestTelemetry, span};
//! use tower_otel_trace::TraceLayer;
//!
//! async fn user(Path(id): Path<u64>) -> String {
//!     tracing::info_span!("find user", user.id = id as i64).in_scope(|| format!("user {id}"))
//! }
//!
//! # /*
//! #[tokio::test]
//! # */
//! # #[tokio::main(flavor = "current_thread")]
//! async fn a_user_is_found() {
//!     let telemetry = TestTelemetry::new();
//!     let _installed = telemetry.install();
//!     let app = Router::new().route("/users/{id}", get(user)).layer(
//!         ServiceBuilder::new().layer(TraceLayer::server()).layer(MetricsLayer::server()),
//!     );
//!
//!     let request = Request::get("/users/7").body(Body::empty()).unwrap();
//!     let response = app.oneshot(request).await.unwrap();
//!     // An exchange ends with its body.
//!     to_bytes(response.into_body(), 1000).await.unwrap();
//!
//!     telemetry.assert_spans([span("GET /users/{id}")
//!         .kind(SpanKind::Server)
//!         .attribute("http.response.status_code", 200)
//!         .without_attribute("error.type")
//!         .child(span("find user").attribute("user.id", 7))]);
//!     telemetry.assert_metrics(r#"
//!         http_request_duration_seconds{method="GET",path="/users/{id}"} count=1
//!         http_requests_in_flight{method="GET"} 0
//!         http_requests_total{method="GET",path="/users/{id}",status="200"} 1
//!         http_responses_aborted_total{method="GET",path="/users/{id}"} 0
//!     "#);
//! }
//! # a_user_is_found();
//! ```
//!
//! A failed assertion shows spans as an indented tree, with attributes indented more than children. Lines that are only expected
//! start with `-`, lines that are only recorded with `+`. All recorded spans follow:
//!
//! ```text
//! spans are not as expected:
//!
//!   order  server
//! -     items = "2"
//! +     items = 2
//!     charge
//!         amount = 3
//!     charge
//! -       amount = 5
//! -       currency = (absent)
//! +       amount = 4
//! +       currency = "EUR"
//!
//! recorded:
//!
//! order  server
//!     items = 2
//!   charge
//!       amount = 3
//!   charge
//!       amount = 4
//!       currency = "EUR"
//! ```
//!
//! # With sockets and multi-threaded runtimes
//!
//! [`install`](TestTelemetry::install) applies to one thread. With a multi-threaded runtime, pass the providers to the
//! layers. Then wait for the spans, because they can end after the client has received the response:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower::ServiceBuilder;
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_test::{TestTelemetry, span};
//! use tower_otel_trace::TraceLayer;
//!
//! # /*
//! #[tokio::test(flavor = "multi_thread")]
//! # */
//! # #[tokio::main]
//! async fn a_greeting_is_counted() -> Result<(), Box<dyn std::error::Error>> {
//!     let telemetry = TestTelemetry::new();
//!     let app: Router = Router::new().route("/greeting", get(|| async { "hello" })).layer(
//!         ServiceBuilder::new()
//!             .layer(TraceLayer::server().tracer_provider(telemetry.tracer_provider()))
//!             .layer(MetricsLayer::server().meter_provider(telemetry.meter_provider())),
//!     );
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("http://{}/greeting", listener.local_addr()?);
//!     tokio::spawn(async { axum::serve(listener, app).await });
//!
//!     reqwest::get(url).await?.text().await?;
//!
//!     telemetry.wait_for("the server's span", |telemetry| telemetry.spans().len() == 1).await;
//!     telemetry.assert_spans([span("GET /greeting")]);
//!     let metrics = telemetry.metrics();
//!     let requests = metrics.counter("http_requests_total", &[("path", "/greeting")]);
//!     assert_eq!(requests, Some(1.0), "{metrics}");
//!     Ok(())
//! }
//! # a_greeting_is_counted().unwrap();
//! ```
//!
//! # Panics
//!
//! Only failed assertions panic: those of [`assert_spans`](TestTelemetry::assert_spans),
//! [`assert_metrics`](TestTelemetry::assert_metrics), [`span`](TestTelemetry::span) and
//! [`wait_for`](TestTelemetry::wait_for). Recording never panics.

#![allow(clippy::panic, reason = "failed assertions panic")]

mod assignment;
mod diff;
mod expected_span;
mod in_memory_meter;
mod metrics;
mod metrics_recorder;
mod open_spans;
mod series;
mod span;
mod span_matching;
mod span_node;
mod span_text;
mod spans;
mod test_telemetry;

pub use self::{
    expected_span::{ExpectedSpan, span},
    metrics::Metrics,
    series::Histogram,
    span::Span,
    spans::Spans,
    test_telemetry::{InstallGuard, TestTelemetry},
};
pub use opentelemetry::trace::SpanKind;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
