//! The page in a router of the application.
#![cfg(feature = "page")]
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use opentelemetry::Context;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use tower::ServiceExt;
use tower_otel_init::Telemetry;

const TIMEOUT: Duration = Duration::from_secs(20);

async fn get(app: &Router, uri: &str, host: Option<&str>) -> (StatusCode, String, Body) {
    let mut request = Request::get(uri);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let policy = response.headers().get("content-security-policy");
    let policy = policy.map_or("", |policy| policy.to_str().unwrap());
    (response.status(), policy.to_owned(), response.into_body())
}

async fn text(body: Body) -> String {
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The service. The test below runs it in a separate process.
#[tokio::test]
#[ignore = "runs in a process started by the other test"]
async fn mounted() {
    let telemetry = Telemetry::from_env("shop").unwrap();
    assert_eq!(telemetry.page(), None);
    let summary = telemetry.summary();
    assert!(
        summary.ends_with("; page where the application mounts it"),
        "{summary}"
    );
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    let mut span = tracer.start_with_context("GET /orders", &Context::new());
    let id = span.span_context().trace_id();
    span.end();
    telemetry.flush(TIMEOUT).unwrap();

    let page = telemetry.page_service().unwrap();
    let app = Router::new().nest_service("/telemetry/", page);
    let local = Some("localhost:3000");
    for file in ["", "page.js", "page.css"] {
        let (status, policy, body) = get(&app, &format!("/telemetry/{file}"), local).await;
        assert_eq!(status, StatusCode::OK, "{file}");
        assert!(policy.contains("default-src 'none'"), "{file}: {policy}");
        // Paths of the page are relative, so that it works at any path.
        assert!(!text(body).await.contains("=\"/"), "{file}");
    }
    let (_, _, body) = get(&app, &format!("/telemetry/traces/{id}"), local).await;
    assert!(text(body).await.contains("\"GET /orders\""));
    let (_, _, events) = get(&app, "/telemetry/events", local).await;
    let first = events.into_data_stream().next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("\"GET /orders\""));
    for (uri, host, expected) in [
        ("/telemetry/", Some("evil.example"), StatusCode::FORBIDDEN),
        (
            "http://evil.example/telemetry/",
            None,
            StatusCode::FORBIDDEN,
        ),
        ("http://localhost:3000/telemetry/", None, StatusCode::OK),
        ("/telemetry/other", local, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(get(&app, uri, host).await.0, expected, "{uri}");
    }
}

#[test]
fn the_page_is_served_where_the_application_mounts_it() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["mounted", "--exact", "--ignored"])
        .env("TELEMETRY_PAGE", "service")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

#[test]
fn there_is_no_service_without_a_page() {
    let builder = Telemetry::builder("shop").traces(tower_otel_init::TracesExporter::None);
    let (telemetry, _) = builder.local::<tracing_subscriber::Registry>().unwrap();
    assert!(telemetry.page_service::<Body>().is_none());
}
