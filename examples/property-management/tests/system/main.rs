//! Tests of the three processes, on free ports, with a collector in the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod access;
mod faults;
mod harness;
mod launcher;
mod page;
mod queue;

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::json;
use suite_tests::{otlp::attribute, telemetry::sum};

use harness::{EMAIL, PASSWORD, System, TIMEOUT, is_failed, text};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const REMOTE_SPAN: [u8; 8] = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_spans_all_services_and_the_job() {
    let system = System::start().await;
    let flat = system.create_user_with_flat().await;
    let traced = |path: String| {
        system
            .post(&path, None)
            .header("traceparent", TRACEPARENT)
            .send()
    };
    let described = traced(format!("/properties/{flat}/description"))
        .await
        .unwrap();
    assert_eq!(
        described.status(),
        200,
        "{}",
        described.text().await.unwrap()
    );
    let queued = traced(format!("/properties/{flat}/listing")).await.unwrap();
    assert_eq!(queued.status(), 202);

    let trace = u128::from_str_radix(&TRACEPARENT[3..35], 16)
        .unwrap()
        .to_be_bytes();
    let spans = system
        .spans("the trace", |spans| {
            let job = |(_, span): &(String, Span)| span.name == "process publish_listing";
            spans.iter().any(job)
        })
        .await;
    let spans: Vec<_> = spans
        .iter()
        .filter(|(_, span)| span.trace_id == trace)
        .collect();
    let child = |parent: &[u8], service: &str, name: &str, kind: SpanKind| {
        let found = spans
            .iter()
            .find(|(of, span)| of == service && span.name == name && span.parent_span_id == parent);
        let (_, span) = found.unwrap_or_else(|| panic!("no {service}: {name} in {spans:#?}"));
        assert_eq!(span.kind, kind as i32, "{name}");
        span
    };
    let (server, client) = (SpanKind::Server, SpanKind::Client);
    let api = "api-server";
    let request = child(
        &REMOTE_SPAN,
        api,
        "POST /properties/{id}/description",
        server,
    );
    let query = child(&request.span_id, api, "SELECT properties", client);
    assert_eq!(text(query, "db.system.name"), "sqlite");
    assert_eq!(text(query, "db.operation.name"), "SELECT");
    assert_eq!(text(query, "db.collection.name"), "properties");
    assert_eq!(text(query, "db.query.summary"), "SELECT properties");
    assert!(text(query, "db.query.text").starts_with("SELECT "));
    let call = child(&request.span_id, api, "GET", client);
    let listings = child(&call.span_id, "reality-server", "GET /listings", server);
    child(
        &listings.span_id,
        "reality-server",
        "SELECT listings",
        client,
    );
    let model = child(&request.span_id, api, "chat test-model", client);
    assert_eq!(text(model, "gen_ai.operation.name"), "chat");
    assert_eq!(text(model, "gen_ai.provider.name"), "openai");
    assert_eq!(text(model, "gen_ai.request.model"), "test-model");
    assert!(attribute(model, "gen_ai.usage.input_tokens").is_some());
    assert!(attribute(model, "gen_ai.usage.output_tokens").is_some());
    child(&model.span_id, api, "POST", client);

    let request = child(&REMOTE_SPAN, api, "POST /properties/{id}/listing", server);
    let job = child(
        &request.span_id,
        "jobs",
        "process publish_listing",
        SpanKind::Consumer,
    );
    child(&job.span_id, "jobs", "INSERT listings", client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_token_starts_a_trace_that_links_to_the_remote_one() {
    let system = System::start().await;
    let url = format!("{}/listings", system.reality);
    let request = system.client.get(url).header("traceparent", TRACEPARENT);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let spans = system
        .spans("a listing", |spans| {
            spans.iter().any(|(_, span)| span.name == "GET /listings")
        })
        .await;
    let (_, span) = spans
        .iter()
        .find(|(_, span)| span.name == "GET /listings")
        .unwrap();
    assert!(span.parent_span_id.is_empty());
    assert_eq!(span.links[0].span_id, REMOTE_SPAN);
    assert_ne!(span.trace_id, span.links[0].trace_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_metrics_are_exposed_with_their_labels() {
    let system = System::start().await;
    let flat = system.create_user_with_flat().await;
    let path = format!("/properties/{flat}/description");
    assert_eq!(system.post(&path, None).send().await.unwrap().status(), 200);
    let wrong = json!({ "email": EMAIL, "password": "a wrong one" });
    let rejected = system.post("/login", Some(wrong)).send().await.unwrap();
    assert_eq!(rejected.status(), 401);
    let url = system.api.replace("http:", "ws:");
    let url = format!("{url}/notifications?access_token={}", system.token());
    let (_socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let metrics = system
        .metrics_until(&system.api, "a socket", |text| {
            sum(text, "websocket_connections", &[]) == 1.0
        })
        .await;

    let route = [("method", "POST"), ("path", "/properties/{id}/description")];
    let [method, path] = route;
    let model = [("provider", "openai"), ("model", "test-model")];
    let [provider, name] = model;
    for (metric, labels) in [
        (
            "http_requests_total",
            &[method, path, ("status", "200")][..],
        ),
        ("http_request_duration_seconds_count", &route),
        (
            "db_query_duration_seconds_count",
            &[("query_type", "property_by_id")],
        ),
        ("llm_tokens_total", &[provider, name, ("type", "input")]),
        ("llm_tokens_total", &[provider, name, ("type", "output")]),
        ("llm_request_duration_seconds_count", &model),
        ("llm_requests_total", &[provider, name, ("outcome", "ok")]),
        ("auth_failures_total", &[("reason", "wrong_password")]),
        ("db_connections_max", &[]),
    ] {
        assert!(
            sum(&metrics, metric, labels) >= 1.0,
            "no {metric} {labels:?} in\n{metrics}"
        );
    }
    assert!(metrics.contains("\ndb_connections_active 0"), "{metrics}");
    let jobs = system
        .metrics_until(&system.jobs, "a queue", |text| text.contains("jobs_queued"))
        .await;
    for series in [
        "jobs_processed_total{kind=\"statement\",outcome=\"done\"}",
        "\njobs_queued 0",
    ] {
        assert!(jobs.contains(series), "no {series} in\n{jobs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_logs_and_metrics_contain_no_secret() {
    let system = System::start().await;
    let flat = system.create_user_with_flat().await;
    for path in ["description", "listing", "statements"] {
        let path = format!("/properties/{flat}/{path}");
        assert!(
            system
                .post(&path, None)
                .send()
                .await
                .unwrap()
                .status()
                .is_success()
        );
    }
    for query in [
        "access_token=canary-query-1",
        "email=canary-query-2&token=canary-query-3",
    ] {
        for base in [
            format!("{}/notifications", system.api),
            format!("{}/listings", system.reality),
        ] {
            let request = system.client.get(format!("{base}?{query}"));
            let request = request.header("authorization", "Bearer canary-authorization");
            let _ = request.send().await.unwrap();
        }
    }
    let wrong = json!({ "email": EMAIL, "password": "canary-wrong-password" });
    system.post("/login", Some(wrong)).send().await.unwrap();
    let taken = json!({ "email": EMAIL, "password": PASSWORD });
    assert_eq!(
        system
            .post("/users", Some(taken))
            .send()
            .await
            .unwrap()
            .status(),
        409
    );

    let job = |(_, span): &(String, Span)| span.name == "process statement";
    let spans = system
        .spans("all jobs", |spans| spans.iter().any(job))
        .await;
    let mut output = format!("{spans:#?}");
    for base in [&system.api, &system.reality, &system.jobs] {
        output += &system
            .metrics_until(base, "metrics", |text| !text.is_empty())
            .await;
    }
    let token = system.token();
    let logs = system.stop().await;
    assert!(
        logs.contains("sqlx::query"),
        "statements are logged: {logs}"
    );
    assert!(logs.contains("\"level\":\"DEBUG\""), "{logs}");
    output += &logs;
    for secret in [&*token, "canary"] {
        if let Some(at) = output.find(secret) {
            let context: String = output[at.saturating_sub(300)..].chars().take(600).collect();
            panic!("{secret} is in .. {context} ..");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_completes_running_requests_and_exports_their_spans() {
    let mut system = System::start().await;
    let flat = system.create_user_with_flat().await;
    let slow = json!({ "kind": "slow", "delay_ms": 1000 });
    system.set_fault(&slow).await;
    let running = tokio::spawn(
        system
            .post(&format!("/properties/{flat}/description"), None)
            .send(),
    );
    system
        .metrics_until(&system.api, "a call to the model", |text| {
            let host = system.model.trim_start_matches("http://");
            sum(text, "http_client_requests_in_flight", &[("host", host)]) == 1.0
        })
        .await;
    assert!(system.terminate("api-server").success());
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    system
        .spans("the last request", |spans| {
            spans
                .iter()
                .any(|(_, span)| span.name == "POST /properties/{id}/description")
        })
        .await;
}

/// `TEST_POSTGRESQL` is the URL of the database. `TEST_POSTGRESQL_STOP` and `TEST_POSTGRESQL_START` are the commands that stop
/// and start it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: .ci/run tests_with_postgresql"]
async fn postgresql_works_and_may_restart() {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is unset"));
    let shell = |name| {
        let command = std::process::Command::new("sh")
            .args(["-c", &variable(name)])
            .status();
        assert!(command.unwrap().success(), "{name}");
    };
    let folder = std::env::temp_dir().join(format!("pms-test-{}", std::process::id()));
    let system = System::start_on(&variable("TEST_POSTGRESQL"), folder).await;
    let flat = system.create_user_with_flat().await;
    let path = format!("/properties/{flat}");
    for work in ["description", "listing", "statements"] {
        let response = system
            .post(&format!("{path}/{work}"), None)
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{work}");
    }
    let job = |(_, span): &(String, Span)| span.name == "process statement";
    let spans = system
        .spans("all jobs", |spans| spans.iter().any(job))
        .await;
    let query = |(_, span): &&(String, Span)| span.name == "SELECT properties";
    let (_, query) = spans.iter().find(query).unwrap();
    assert_eq!(text(query, "db.system.name"), "postgresql");
    assert_eq!(text(query, "server.address"), "127.0.0.1");

    shell("TEST_POSTGRESQL_STOP");
    let start = Instant::now();
    let response = system.get(&path).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(start.elapsed() < Duration::from_secs(20));
    let failed =
        |text: &str| sum(text, "db_errors_total", &[("query_type", "property_by_id")]) >= 1.0;
    system.metrics_until(&system.api, "an error", failed).await;
    let query = |(_, span): &&(String, Span)| span.name == "SELECT properties" && is_failed(span);
    let spans = system
        .spans("a query that failed", |spans| {
            spans.iter().any(|span| query(&span))
        })
        .await;
    let (_, query) = spans.iter().find(query).unwrap();
    // The server closed the connection, or no connection was available.
    let error = text(query, "error.type");
    assert!(
        ["57P01", "io", "pool_timeout"].contains(&&*error),
        "{error}"
    );

    shell("TEST_POSTGRESQL_START");
    let restarted = async {
        while system.get(&path).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, restarted)
        .await
        .expect("PostgreSQL is available again");
    let output = format!("{spans:#?}") + &system.stop().await;
    assert!(!output.contains("canary"), "{output}");
}
