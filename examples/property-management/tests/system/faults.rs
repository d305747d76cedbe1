//! Response, spans and metrics report failures consistently.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use suite_tests::telemetry::sum;

use crate::harness::{System, error, text};

/// The spans of one request.
struct Trace(Vec<Span>);

/// Returns the `traceparent` of a numbered trace.
fn traceparent(number: u128) -> String {
    format!("00-{number:032x}-00f067aa0ba902b7-01")
}

impl Trace {
    /// Waits for the server span of a trace.
    async fn receive(system: &System, number: u128, server: &str) -> Self {
        let id = number.to_be_bytes();
        let spans = system
            .spans(server, |spans| {
                spans
                    .iter()
                    .any(|(_, span)| span.trace_id == id && span.name == server)
            })
            .await;
        let spans = spans.into_iter().map(|(_, span)| span);
        let mut spans: Vec<_> = spans.filter(|span| span.trace_id == id).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        Self(spans)
    }

    fn named(&self, name: &str) -> &Span {
        let found = self.0.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// Returns the errors of the child spans.
    fn child_errors(&self, parent: &Span) -> Vec<Option<String>> {
        let children = self.0.iter();
        let children = children.filter(|span| span.parent_span_id == parent.span_id);
        children.map(error).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_model_provider_are_distinguished() {
    let system = System::start().await;
    let flat = system.create_user_with_flat().await;
    let path = format!("/properties/{flat}/description");
    let slow = json!({ "kind": "slow", "delay_ms": 600_000 });
    let once = json!({ "kind": "429", "times": 1 });
    let (of_429, of_500) = (Some("429"), Some("500"));
    for (number, fault, status, outcome, failed, attempts) in [
        (1, once, 200, "ok", None, vec![of_429, None]),
        (
            2,
            json!({ "kind": "429" }),
            503,
            "rate_limited",
            of_429,
            vec![of_429; 3],
        ),
        (
            3,
            json!({ "kind": "500" }),
            503,
            "unavailable",
            of_500,
            vec![of_500; 3],
        ),
        // The HTTP exchange succeeds; its body is malformed.
        (
            4,
            json!({ "kind": "garbage" }),
            502,
            "malformed",
            Some("malformed"),
            vec![None],
        ),
        (
            5,
            slow,
            504,
            "timeout",
            Some("timeout"),
            vec![Some("timeout")],
        ),
        (6, json!({ "kind": "none" }), 200, "ok", None, vec![None]),
    ] {
        let before = system.metrics_until(&system.api, "metrics", |_| true).await;
        system.set_fault(&fault).await;
        let start = Instant::now();
        let request = system.post(&path, None);
        let request = request.header("traceparent", traceparent(number));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{fault}");
        assert!(start.elapsed() < Duration::from_secs(20), "{fault}");
        if status != 200 {
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
        }
        let after = system.metrics_until(&system.api, "metrics", |_| true).await;
        let increase =
            |metric, labels: &[_]| sum(&after, metric, labels) - sum(&before, metric, labels);
        let by_outcome = increase("llm_requests_total", &[("outcome", outcome)]);
        assert_eq!(by_outcome, 1.0, "{fault}");
        assert_eq!(increase("llm_requests_total", &[]), 1.0, "{fault}");
        let host = system.model.trim_start_matches("http://");
        let sent = increase("http_client_requests_total", &[("host", host)]);
        assert_eq!(sent, attempts.len() as f64, "{fault}");

        let trace = Trace::receive(&system, number, "POST /properties/{id}/description").await;
        let call = trace.named("chat test-model");
        assert_eq!(error(call).as_deref(), failed, "{fault}");
        let errors = trace.child_errors(call);
        let errors: Vec<_> = errors.iter().map(Option::as_deref).collect();
        assert_eq!(errors, attempts, "{fault}");
        let server = trace.named("POST /properties/{id}/description");
        let server_error = (status >= 500).then(|| status.to_string());
        assert_eq!(error(server), server_error, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_and_one_that_is_gone_are_distinguished() {
    let mut system = System::start().await;
    let flat = system.create_user_with_flat().await;

    system.kill("model-stand-in");
    let request = system.post(&format!("/properties/{flat}/description"), None);
    let request = request.header("traceparent", traceparent(3));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let trace = Trace::receive(&system, 3, "POST /properties/{id}/description").await;
    let call = trace.named("chat test-model");
    assert_eq!(error(call).as_deref(), Some("unavailable"));
    let refused = Some("connection_refused".to_owned());
    assert_eq!(trace.child_errors(call), vec![refused; 3]);

    let path = format!("/properties/{flat}/comparables");
    let host = system.reality.trim_start_matches("http://").to_owned();
    for (number, status, outcome, error_type) in [
        (1, 504, "error", "timeout"),
        (2, 503, "error", "connection_refused"),
    ] {
        match number {
            1 => system.freeze("reality-server"),
            _ => system.kill("reality-server"),
        }
        let before = system.metrics_until(&system.api, "metrics", |_| true).await;
        let start = Instant::now();
        let request = system.get(&path).header("traceparent", traceparent(number));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{error_type}");
        assert!(start.elapsed() < Duration::from_secs(20), "{error_type}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert!(
            response
                .text()
                .await
                .unwrap()
                .contains(&format!("{number:032x}"))
        );

        let after = system.metrics_until(&system.api, "metrics", |_| true).await;
        let increase =
            |metric, labels: &[_]| sum(&after, metric, labels) - sum(&before, metric, labels);
        let call = [("host", &*host), ("status", outcome)];
        assert_eq!(
            increase("http_client_requests_total", &call),
            1.0,
            "{error_type}"
        );
        let name = "GET /properties/{id}/comparables";
        let trace = Trace::receive(&system, number, name).await;
        let server = trace.named(name);
        assert_eq!(error(server), Some(status.to_string()), "{error_type}");
        assert_eq!(error(trace.named("GET")).as_deref(), Some(error_type));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_query_has_its_code_in_the_span_and_is_counted_once() {
    let system = System::start().await;
    let flat = system.create_user_with_flat().await;
    let path = format!("/properties/{flat}");
    assert_eq!(system.get(&path).send().await.unwrap().status(), 200);
    let before = system.metrics_until(&system.api, "metrics", |_| true).await;

    let database = system.database().await;
    let drop = sqlx::query("DROP TABLE properties").execute(&database);
    drop.await.unwrap();
    let request = system.get(&path).header("traceparent", traceparent(1));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );

    let trace = Trace::receive(&system, 1, "GET /properties/{id}").await;
    let query = trace.named("SELECT properties");
    // SQLITE_ERROR: the statement is wrong.
    assert_eq!(error(query).as_deref(), Some("1"));
    assert_eq!(text(query, "db.response.status_code"), "1");
    let server = trace.named("GET /properties/{id}");
    assert_eq!(error(server).as_deref(), Some("500"));
    let after = system.metrics_until(&system.api, "metrics", |_| true).await;
    let increase =
        |metric, labels: &[_]| sum(&after, metric, labels) - sum(&before, metric, labels);
    assert_eq!(increase("db_errors_total", &[]), 1.0);
    let kind = [("query_type", "property_by_id")];
    assert_eq!(increase("db_errors_total", &kind), 1.0);
    assert_eq!(increase("db_query_duration_seconds_count", &kind), 1.0);
    let route = [("path", "/properties/{id}"), ("status", "500")];
    assert_eq!(increase("http_requests_total", &route), 1.0);
}
