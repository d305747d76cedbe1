//! Runs the programs that serve, as a user does, and checks what they record.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program that does not run fails the test"
)]

mod support;

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};

use support::{Program, assert_lines, assert_samples_of_page, attribute, is_failed};

#[tokio::test]
async fn the_first_server_has_spans_metrics_and_log_lines() {
    let program = Program::serve(env!("CARGO_BIN_EXE_start"));
    assert_eq!(program.text("/users/7").await, "user 7\n");
    assert_eq!(
        program.get("/nothing").await.status(),
        StatusCode::NOT_FOUND
    );
    let metrics = program.text("/metrics").await;
    assert_samples_of_page(include_str!("../start.md"), &metrics);
    let unmatched = r#"http_requests_total{method="GET",path="unmatched",status="404"} 1"#;
    assert_lines(&metrics, &[unmatched]);
    let ended = program.stop();
    assert_eq!(ended.names(), ["GET", "GET /users/{id}"]);
    assert!(ended.text.contains("user requested"), "{}", ended.text);
    let id = ended.span("GET /users/{id}").trace_id.iter();
    let id: String = id.map(|byte| format!("{byte:02x}")).collect();
    assert!(ended.text.contains(&id), "{}", ended.text);
}

#[tokio::test]
async fn the_first_server_prints_its_traces_without_a_collector() {
    let variables = [
        ("OTEL_TRACES_EXPORTER", "console"),
        ("LOG_FORMAT", "pretty"),
    ];
    let program = Program::serve_with(env!("CARGO_BIN_EXE_start"), &[], &variables);
    program.text("/users/7").await;
    let text = program.stop().text;
    assert!(text.contains("GET /users/{id}"), "{text}");
    assert!(text.contains("/users/7"), "{text}");
}

#[tokio::test]
async fn spans_of_the_application_are_children_of_the_request() {
    let program = Program::serve(env!("CARGO_BIN_EXE_spans"));
    let id = [("x-request-id", "r-1")];
    assert_eq!(
        program
            .get_with("/users/1", &id)
            .await
            .text()
            .await
            .unwrap(),
        "Grace: 4 unread\n"
    );
    let report = program.get("/report").await;
    assert_eq!(report.status(), StatusCode::INTERNAL_SERVER_ERROR);
    program.get("/healthz").await;
    let ended = program.stop();
    let expected = [
        "GET /report",
        "GET /users/{id}",
        "build report",
        "load",
        "unread",
    ];
    assert_eq!(ended.names(), expected);
    ended.assert_child("load", "GET /users/{id}");
    ended.assert_child("unread", "GET /users/{id}");
    ended.assert_child("build report", "GET /report");
    assert_eq!(attribute(ended.span("load"), "rows").unwrap(), "1");
    let request = ended.span("GET /users/{id}");
    assert_eq!(attribute(request, "app.plan").unwrap(), "free");
    assert_eq!(
        attribute(request, "http.request.header.x-request-id").unwrap(),
        "r-1"
    );
    assert!(is_failed(ended.span("build report")));
    assert!(is_failed(ended.span("GET /report")));
    assert_eq!(
        attribute(ended.span("GET /report"), "error.type").unwrap(),
        "500"
    );
}

#[tokio::test]
async fn metrics_have_the_labels_and_buckets_of_the_application() {
    let program = Program::serve(env!("CARGO_BIN_EXE_red_metrics"));
    program.text("/search").await;
    program.text("/healthz").await;
    let order = Client::new().post(format!("{}/orders", program.url)).send();
    assert_eq!(order.await.unwrap().status(), StatusCode::CREATED);
    let metrics = program.text("/metrics").await;
    assert_samples_of_page(include_str!("../metrics.md"), &metrics);
    assert_lines(
        &metrics,
        &[
            r#"http_requests_total{cache="hit",method="GET",path="/search",status="200"} 1"#,
            r#"http_requests_total{method="POST",path="/orders",status="201"} 1"#,
            "# HELP orders_total Orders, by means of payment.",
            r#"orders_total{payment="card"} 1"#,
            r#"order_items_bucket{le="5"} 1"#,
        ],
    );
    let bucket =
        r#"http_request_duration_seconds_bucket{cache="hit",method="GET",path="/search",le="0.3"}"#;
    assert!(metrics.contains(bucket), "{metrics}");
    assert!(!metrics.contains(r#"path="/orders",le="0.3""#), "{metrics}");
    assert!(!metrics.contains("healthz"), "{metrics}");
    program.stop();
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_no_error() {
    let program = Program::serve(env!("CARGO_BIN_EXE_streams"));
    for path in ["/events", "/lines"] {
        let mut stream = program.get(path).await;
        let first = stream.chunk().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&first).contains("100"), "{first:?}");
        program
            .until_metric(r#"http_streams_open{method="GET"} 1"#)
            .await;
        drop(stream);
        program
            .until_metric(r#"http_streams_open{method="GET"} 0"#)
            .await;
        let metrics = program.text("/metrics").await;
        let total = format!(r#"http_requests_total{{method="GET",path="{path}",status="200"}} 1"#);
        let aborted = format!(r#"http_responses_aborted_total{{method="GET",path="{path}"}} 0"#);
        assert_lines(&metrics, &[&total, &aborted]);
    }
    let ended = program.stop();
    for name in ["GET /events", "GET /lines"] {
        assert_eq!(attribute(ended.span(name), "error.type"), None);
    }
}

#[tokio::test]
async fn a_download_has_the_route_of_its_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let program = Program::serve_with(env!("CARGO_BIN_EXE_downloads"), &[folder], &[]);
    let start = program.text("/files/bin/start.rs").await;
    assert!(start.contains("fn main"), "{start}");
    let missing = program.get("/files/missing").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    for status in ["200", "404"] {
        let labels = format!(r#"method="GET",path="/files/{{*file}}",status="{status}""#);
        // The exchange of a file ends shortly after its last byte was sent.
        program
            .until_metric(&format!("http_requests_total{{{labels}}} 1"))
            .await;
    }
    let metrics = program.text("/metrics").await;
    assert_samples_of_page(include_str!("../downloads.md"), &metrics);
    let ended = program.stop();
    assert_eq!(ended.names(), ["GET /files/{*file}"; 2]);
    let paths = ["/files/bin/start.rs", "/files/missing"].map(|path| Some(path.to_owned()));
    assert_eq!(ended.attributes("url.path"), paths);
}

#[tokio::test]
async fn only_a_trusted_proxy_decides_about_client_scheme_and_host() {
    let program = Program::serve(env!("CARGO_BIN_EXE_proxy"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("x-forwarded-for", "198.51.100.1, 203.0.113.7, 10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "users.example"),
        ("traceparent", parent),
    ];
    program.get_with("/users/7", &headers).await;
    let ended = program.stop();
    let span = ended.span("GET /users/{id}");
    assert_eq!(attribute(span, "client.address").unwrap(), "203.0.113.7");
    assert_eq!(attribute(span, "url.scheme").unwrap(), "https");
    assert_eq!(attribute(span, "server.address").unwrap(), "users.example");
    assert_eq!(
        attribute(span, "network.peer.address").unwrap(),
        "127.0.0.1"
    );
    assert!(span.parent_span_id.is_empty());
    assert_eq!(span.links[0].span_id[..2], [0xb7, 0xad]);
}

#[tokio::test]
async fn an_open_stream_does_not_delay_the_stop_beyond_its_limit() {
    let mut program = Program::serve_with(env!("CARGO_BIN_EXE_shutdown"), &["300"], &[]);
    let mut stream = program.get("/events").await;
    stream.chunk().await.unwrap().unwrap();
    let started = Instant::now();
    program.signal("TERM");
    program.line_after("stopping: waiting");
    let ended = program.ended();
    assert!(started.elapsed() >= Duration::from_millis(300));
    ended.assert_line("stopping: closing open responses");
    ended.assert_line("stopped");
    assert_eq!(attribute(ended.span("GET /events"), "error.type"), None);
}

#[tokio::test]
async fn the_control_service_changes_sampling_while_the_service_runs() {
    let variables = [("TELEMETRY_PAGE", "service")];
    let mut program = Program::with_variables(
        env!("CARGO_BIN_EXE_operating"),
        &["127.0.0.1:0"; 2],
        &variables,
    );
    let operating = program.line_after("operating on ");
    program.url = program.line_after("listening on ");
    let client = Client::new();
    let sampling = format!("{operating}/sampling");
    let now = client
        .get(&sampling)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(now.trim(), "always_on");
    let change = client
        .put(&sampling)
        .body("0,GET /users/{id}=1")
        .send()
        .await
        .unwrap();
    assert_eq!(change.status(), StatusCode::OK);
    program.text("/users/7").await;
    program.get("/nothing").await;
    program.url = operating;
    assert_eq!(program.text("/healthz").await, "ok\n");
    assert!(program.text("/page/").await.contains("<html"));
    assert!(
        program
            .text("/metrics")
            .await
            .contains("http_requests_total")
    );
    assert!(program.text("/").await.contains("0,GET /users/{id}=1"));
    assert_eq!(program.stop().names(), ["GET /users/{id}"]);
}

#[tokio::test]
async fn a_tenant_is_an_attribute_of_the_span_and_its_plan_a_label() {
    let program = Program::serve(env!("CARGO_BIN_EXE_tenants"));
    program
        .get_with("/orders", &[("x-api-key", "key-of-acme")])
        .await;
    let refused = program
        .get_with("/orders", &[("x-api-key", "guessed")])
        .await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let metrics = program.text("/metrics").await;
    assert_samples_of_page(include_str!("../tenants.md"), &metrics);
    let refused = r#"http_requests_total{method="GET",path="/orders",plan="none",status="401"} 1"#;
    assert_lines(&metrics, &[refused]);
    let ended = program.stop();
    assert_eq!(
        ended.attributes("app.tenant"),
        [Some("acme".to_owned()), None]
    );
}

#[tokio::test]
async fn unsampled_traces_that_fail_or_are_marked_are_exported_nevertheless() {
    let program = Program::serve(env!("CARGO_BIN_EXE_sampling"));
    for path in [
        "/healthz",
        "/items/lamp",
        "/items/broken",
        "/items/rare",
        "/payments/7",
    ] {
        program.get(path).await;
    }
    let ended = program.stop();
    let exported = ended.spans.iter().map(|span| {
        let path = attribute(span, "url.path").unwrap();
        (path, attribute(span, "sampling.keep.reason"))
    });
    let mut exported: Vec<_> = exported.collect();
    exported.sort();
    let kept = |path: &str, reason: &str| (path.to_owned(), Some(reason.to_owned()));
    assert_eq!(
        exported,
        [
            kept("/items/broken", "error"),
            kept("/items/rare", "marked"),
            ("/payments/7".to_owned(), None),
        ]
    );
    assert!(ended.text.contains("telemetry of shop"), "{}", ended.text);
}
