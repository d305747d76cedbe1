//! Runs the programs that send requests or end by themselves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use support::{Program, assert_samples_of_page, attribute, is_failed};
use tokio::net::TcpListener;

/// Starts a server that fails for its first requests, and then answers with the `traceparent`.
async fn server(failures: usize) -> String {
    let requests = Arc::new(AtomicUsize::new(0));
    let respond = move |headers: HeaderMap| async move {
        let status = match requests.fetch_add(1, Ordering::Relaxed) {
            before if before < failures => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        let parent = headers.get("traceparent").map(|value| value.to_str());
        (
            status,
            parent.map_or(String::new(), |value| value.unwrap().to_owned()),
        )
    };
    let app = Router::new().route("/users/7", get(respond));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/users/7", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    url
}

/// Prints the metrics at the end of a program.
const METRICS: [(&str, &str); 1] = [("OTEL_METRICS_EXPORTER", "console")];

/// The host of a URL of [`server`].
fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_of_a_client_has_its_own_span_and_is_counted() {
    let url = server(2).await;
    let ended = Program::with_variables(env!("CARGO_BIN_EXE_clients"), &[&url], &METRICS).ended();
    let attempts = ended.named("GET /users/{id}");
    let resends = attempts
        .iter()
        .map(|span| attribute(span, "http.request.resend_count"));
    let resends: Vec<_> = resends.map(|count| count.unwrap_or_default()).collect();
    assert_eq!(resends, ["", "1", "2"]);
    let failed: Vec<_> = attempts.iter().map(|span| is_failed(span)).collect();
    assert_eq!(failed, [true, true, false]);
    let report = ended.span("report");
    assert!(
        attempts
            .iter()
            .all(|span| span.parent_span_id == report.span_id)
    );
    let parent: String = attempts[2]
        .span_id
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(ended.text.contains(&parent), "{}", ended.text);
    let host = host(&url);
    for (status, count) in [("503", 2), ("200", 1)] {
        ended.assert_line(&format!(
            r#"http_client_requests_total{{host="{host}",method="GET",status="{status}"}} {count}"#
        ));
    }
}

#[test]
fn without_a_url_the_first_attempt_of_a_client_fails() {
    let ended = Program::start(env!("CARGO_BIN_EXE_clients"), &[]).ended();
    let attempts = ended.named("GET /users/{id}");
    let failed: Vec<_> = attempts.iter().map(|span| is_failed(span)).collect();
    assert_eq!(failed, [true, false]);
    ended.assert_line("user 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_client_is_recorded_without_its_query() {
    let url = format!("{}?token=canary", server(usize::MAX).await);
    let failed = Program::start(env!("CARGO_BIN_EXE_clients"), &[&url]).failed();
    let report = failed.span("report");
    assert!(
        is_failed(report) && failed.text.contains("503"),
        "{}",
        failed.text
    );
    let spans = format!("{:?}", failed.spans);
    assert!(
        !spans.contains("canary") && !failed.text.contains("canary"),
        "{spans}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_tower_layers_propagates_its_span() {
    let url = server(0).await;
    let program = env!("CARGO_BIN_EXE_tower_client");
    let ended = Program::with_variables(program, &[&url], &METRICS).ended();
    let span: String = ended
        .span("GET")
        .span_id
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(ended.text.contains(&span), "{}", ended.text);
    ended.assert_line(&format!(
        r#"http_client_requests_total{{host="{}",method="GET",status="200"}} 1"#,
        host(&url)
    ));
}

#[test]
fn a_trace_continues_in_another_service_a_thread_a_channel_and_a_queue() {
    let ended = Program::start(env!("CARGO_BIN_EXE_propagation"), &[]).ended();
    let expected = [
        "GET",
        "GET /order",
        "GET /stock",
        "print invoice",
        "send mail",
        "ship",
    ];
    assert_eq!(ended.names(), expected);
    ended.assert_child("GET", "GET /order");
    ended.assert_child("GET /stock", "GET");
    for span in ["print invoice", "ship", "send mail"] {
        ended.assert_child(span, "GET /order");
    }
}

#[test]
fn telemetry_works_with_the_subscriber_of_the_application() {
    let ended = Program::start(env!("CARGO_BIN_EXE_own_subscriber"), &[]).ended();
    assert_eq!(ended.names(), ["import"]);
    for text in ["telemetry of orders", "orders imported"] {
        assert!(ended.text.contains(text), "no {text} in {}", ended.text);
    }
}

#[test]
fn grpc_calls_have_the_status_of_the_call() {
    let ended = Program::start(env!("CARGO_BIN_EXE_grpc"), &[]).ended();
    let calls = ended.named("grpc.health.v1.Health/Check");
    let mut statuses: Vec<_> = calls
        .iter()
        .map(|span| attribute(span, "rpc.status_code").unwrap())
        .collect();
    statuses.sort();
    assert_eq!(statuses, ["NOT_FOUND", "NOT_FOUND", "OK", "OK"]);
    // NOT_FOUND is an error of the client only.
    assert_eq!(calls.iter().filter(|span| is_failed(span)).count(), 1);
    assert_samples_of_page(include_str!("../grpc.md"), &ended.text);
}

#[test]
fn a_function_exports_its_spans_before_it_answers() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_short_lived"), &[]);
    for (event, answer, spans) in [("image", "5", 1), ("video-1", "7", 2)] {
        program.write_line(event);
        program.line_after(answer);
        assert_eq!(program.collector.spans(), spans);
    }
    let ended = program.ended();
    assert_eq!(ended.names(), ["handle", "handle"]);
}

#[test]
fn the_cost_of_the_layers_is_printed() {
    let ended = Program::start(env!("CARGO_BIN_EXE_tuning"), &["5"]).ended();
    for start in [
        "bare router   ",
        "with layers   ",
        "dropped spans DropCounts",
    ] {
        let found = ended.text.lines().any(|line| line.starts_with(start));
        assert!(found, "{}", ended.text);
    }
}
