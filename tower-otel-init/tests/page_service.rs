//! The page in a router of the application.
#![cfg(feature = "page")]
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, Version};
use futures_util::StreamExt;
use opentelemetry::Context;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use tower::ServiceExt;
use tower_otel_init::{PeerAddr, Telemetry};

const TIMEOUT: Duration = Duration::from_secs(20);
const LOCAL_PEER: Option<&str> = Some("127.0.0.1:4711");

/// Sends a request of a peer, which may be unknown.
async fn send(app: &Router, mut request: Request<Body>, peer: Option<&str>) -> Response<Body> {
    if let Some(peer) = peer {
        let peer = PeerAddr(peer.parse().unwrap());
        request.extensions_mut().insert(peer);
    }
    app.clone().oneshot(request).await.unwrap()
}

async fn get(app: &Router, uri: &str, host: Option<&str>) -> (StatusCode, String, Body) {
    let mut request = Request::get(uri);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = send(app, request, LOCAL_PEER).await;
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
    for (peer, header, expected) in [
        (Some("127.0.0.1:4711"), None, StatusCode::OK),
        (Some("[::1]:4711"), None, StatusCode::OK),
        (Some("[::ffff:127.0.0.1]:4711"), None, StatusCode::OK),
        (Some("192.0.2.7:4711"), None, StatusCode::FORBIDDEN),
        (Some("[2001:db8::7]:4711"), None, StatusCode::FORBIDDEN),
        (None, None, StatusCode::FORBIDDEN),
        (LOCAL_PEER, Some("forwarded"), StatusCode::FORBIDDEN),
        (LOCAL_PEER, Some("x-forwarded-for"), StatusCode::FORBIDDEN),
        (LOCAL_PEER, Some("x-forwarded-host"), StatusCode::FORBIDDEN),
        (LOCAL_PEER, Some("x-real-ip"), StatusCode::FORBIDDEN),
        (LOCAL_PEER, Some("via"), StatusCode::FORBIDDEN),
    ] {
        let mut found = Vec::new();
        for (method, path) in [("GET", ""), ("GET", "events"), ("PUT", "control/sampling")] {
            let request = Request::builder().method(method);
            let mut request = request.uri(format!("/telemetry/{path}"));
            request = request.header("host", "localhost");
            if let Some(header) = header {
                request = request.header(header, "192.0.2.7");
            }
            let request = request.body(Body::from("always_on")).unwrap();
            let response = send(&app, request, peer).await;
            found.push(response.status().is_success());
        }
        assert_eq!(
            found,
            [expected == StatusCode::OK; 3],
            "{peer:?} {header:?}"
        );
    }
    // Many proxies send HTTP/1.0 unless they are told otherwise. Browsers and curl do not.
    let request = Request::get("/telemetry/").version(Version::HTTP_10);
    let request = request.header("host", "localhost").body(Body::empty());
    let refused = send(&app, request.unwrap(), LOCAL_PEER).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let request = Request::get("/telemetry/").header("host", "localhost");
    let refused = send(&app, request.body(Body::empty()).unwrap(), None).await;
    let refused = text(refused.into_body()).await;
    assert!(refused.contains("PeerAddr"), "{refused}");
    assert!(refused.contains("TELEMETRY_PAGE_REMOTE"), "{refused}");
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

/// Runs a test of this file with a page in a process of its own.
fn run_with_page(test: &str, variables: &[(&str, &str)]) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored"])
        .env("TELEMETRY_PAGE", "service")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

#[test]
fn the_page_is_served_where_the_application_mounts_it() {
    run_with_page("mounted", &[]);
}

/// The test below runs this in a process of its own.
#[tokio::test]
#[ignore = "runs in a process started by the other test"]
async fn mounted_for_other_machines() {
    let telemetry = Telemetry::from_env("shop").unwrap();
    let page = telemetry.page_service().unwrap();
    let app = Router::new().nest_service("/telemetry/", page);
    for peer in [Some("192.0.2.7:4711"), None] {
        for (method, path, expected) in [
            ("GET", "", StatusCode::OK),
            ("PUT", "control/sampling", StatusCode::FORBIDDEN),
        ] {
            let request = Request::builder().method(method);
            let request = request.uri(format!("/telemetry/{path}"));
            let request = request.header("host", "192.0.2.80:3000");
            let request = request.header("x-forwarded-for", "192.0.2.7");
            let request = request.body(Body::from("always_on")).unwrap();
            let response = send(&app, request, peer).await;
            assert_eq!(response.status(), expected, "{method} {peer:?}");
        }
    }
}

#[test]
fn other_machines_read_a_mounted_page_only_if_that_is_allowed() {
    let remote = ("TELEMETRY_PAGE_REMOTE", "true");
    run_with_page("mounted_for_other_machines", &[remote]);
}

#[test]
fn there_is_no_service_without_a_page() {
    let builder = Telemetry::builder("shop").traces(tower_otel_init::TracesExporter::None);
    let (telemetry, _) = builder.local::<tracing_subscriber::Registry>().unwrap();
    assert!(telemetry.page_service::<Body>().is_none());
}
