//! A test of the telemetry of a service: `cargo test -p guide --test testing`.

#![allow(clippy::unwrap_used)]

use std::{future::pending, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Path,
    http::{Request, StatusCode},
    routing::get,
};
use tokio::time::timeout;
use tower::ServiceExt;
use tower_otel_init::{MetricsLayer, TraceLayer, observe};
use tower_otel_test::{SpanKind, TestTelemetry, span};

#[tracing::instrument]
async fn load(id: i64) -> Option<&'static str> {
    (id == 7).then_some("Ada")
}

async fn user(Path(id): Path<i64>) -> Result<&'static str, StatusCode> {
    load(id).await.ok_or(StatusCode::NOT_FOUND)
}

/// The router of the service, with its layers.
fn app() -> Router {
    Router::new()
        .route("/users/{id}", get(user))
        .route("/report", get(pending::<()>)) // never answers
        .layer(observe((TraceLayer::server(), MetricsLayer::server())))
}

#[tokio::test]
async fn a_user_that_does_not_exist_is_counted_and_is_no_error_of_the_server() {
    let telemetry = TestTelemetry::new();
    let _installed = telemetry.install(); // before the layers are built

    let request = Request::get("/users/9").body(Body::empty()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    // An exchange ends with its body.
    to_bytes(response.into_body(), 1000).await.unwrap();

    telemetry.assert_spans([span("GET /users/{id}")
        .kind(SpanKind::Server)
        .attribute("http.response.status_code", 404)
        .without_attribute("error.type")
        .child(span("load").attribute("id", 9))]);
    telemetry.assert_metrics(
        r#"
        http_request_duration_seconds{method="GET",path="/users/{id}"} count=1
        http_requests_in_flight{method="GET"} 0
        http_requests_total{method="GET",path="/users/{id}",status="404"} 1
        http_responses_aborted_total{method="GET",path="/users/{id}"} 0
        "#,
    );
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_response_is_counted_as_cancelled() {
    let telemetry = TestTelemetry::new();
    let _installed = telemetry.install();

    let request = Request::get("/report").body(Body::empty()).unwrap();
    let response = timeout(Duration::ZERO, app().oneshot(request)).await;
    assert!(response.is_err());

    telemetry.assert_spans([span("GET /report")
        .attribute("error.type", "cancelled")
        .failed()]);
    let metrics = telemetry.metrics();
    let cancelled = [("path", "/report"), ("status", "cancelled")];
    let requests = metrics.counter("http_requests_total", &cancelled);
    assert_eq!(requests, Some(1.0), "{metrics}");
}
