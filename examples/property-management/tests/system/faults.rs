//! What fails, and that the answer, the spans and the metrics tell the same of it.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use suite_tests::telemetry::sum;

use crate::harness::{System, error, text};

/// The spans of one request, which ends last.
struct Trace(Vec<Span>);

/// The headers of a trace by its number.
fn traceparent(number: u128) -> String {
    format!("00-{number:032x}-00f067aa0ba902b7-01")
}

impl Trace {
    async fn of(system: &System, number: u128, server: &str) -> Self {
        let id = number.to_be_bytes();
        let spans = system
            .spans(server, |spans| {
                spans
                    .iter()
                    .any(|(_, span)| span.trace_id == id && span.name == server)
            })
            .await;
        let own = spans.into_iter().map(|(_, span)| span);
        let mut own: Vec<_> = own.filter(|span| span.trace_id == id).collect();
        own.sort_by_key(|span| span.start_time_unix_nano);
        Self(own)
    }

    fn named(&self, name: &str) -> &Span {
        let found = self.0.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("{name} in {:#?}", self.0))
    }

    /// The errors of the spans right below this one.
    fn errors_below(&self, parent: &Span) -> Vec<Option<String>> {
        let below = self.0.iter();
        let below = below.filter(|span| span.parent_span_id == parent.span_id);
        below.map(error).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_is_told_from_one_that_is_slow_and_nothing_hangs() {
    let system = System::start().await;
    let flat = system.sign_in_with_a_flat().await;
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
        // The exchange went well; what was in it is no answer.
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
        system.fault(&fault).await;
        let start = Instant::now();
        let request = system.post(&path, None);
        let request = request.header("traceparent", traceparent(number));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{fault}");
        assert!(start.elapsed() < Duration::from_secs(20), "{fault}");
        if status != 200 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
        let after = system.metrics_until(&system.api, "metrics", |_| true).await;
        let risen =
            |metric, labels: &[_]| sum(&after, metric, labels) - sum(&before, metric, labels);
        let of_outcome = risen("llm_requests_total", &[("outcome", outcome)]);
        assert_eq!(of_outcome, 1.0, "{fault}");
        assert_eq!(risen("llm_requests_total", &[]), 1.0, "{fault}");
        let host = system.model.trim_start_matches("http://");
        let asked = risen("http_client_requests_total", &[("host", host)]);
        assert_eq!(asked, attempts.len() as f64, "{fault}");

        let trace = Trace::of(&system, number, "POST /properties/{id}/description").await;
        let call = trace.named("chat test-model");
        assert_eq!(error(call).as_deref(), failed, "{fault}");
        let errors = trace.errors_below(call);
        let errors: Vec<_> = errors.iter().map(Option::as_deref).collect();
        assert_eq!(errors, attempts, "{fault}");
        let server = trace.named("POST /properties/{id}/description");
        let answered = (status >= 500).then(|| status.to_string());
        assert_eq!(error(server), answered, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_is_told_from_one_that_is_gone_and_nobody_waits_for_either() {
    let mut system = System::start().await;
    let flat = system.sign_in_with_a_flat().await;

    system.kill("model-stand-in");
    let request = system.post(&format!("/properties/{flat}/description"), None);
    let request = request.header("traceparent", traceparent(3));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let trace = Trace::of(&system, 3, "POST /properties/{id}/description").await;
    let call = trace.named("chat test-model");
    assert_eq!(error(call).as_deref(), Some("unavailable"));
    let refused = Some("connection_refused".to_owned());
    assert_eq!(trace.errors_below(call), vec![refused; 3]);

    let path = format!("/properties/{flat}/comparables");
    let host = system.reality.trim_start_matches("http://").to_owned();
    for (number, status, ended, why) in [
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
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{why}");
        assert!(start.elapsed() < Duration::from_secs(20), "{why}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains(&format!("{number:032x}"))
        );

        let after = system.metrics_until(&system.api, "metrics", |_| true).await;
        let risen =
            |metric, labels: &[_]| sum(&after, metric, labels) - sum(&before, metric, labels);
        let call = [("host", &*host), ("status", ended)];
        assert_eq!(risen("http_client_requests_total", &call), 1.0, "{why}");
        let name = "GET /properties/{id}/comparables";
        let trace = Trace::of(&system, number, name).await;
        let server = trace.named(name);
        assert_eq!(error(server), Some(status.to_string()), "{why}");
        assert_eq!(error(trace.named("GET")).as_deref(), Some(why));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_is_told_by_its_code_in_its_span_and_counted_once() {
    let system = System::start().await;
    let flat = system.sign_in_with_a_flat().await;
    let path = format!("/properties/{flat}");
    assert_eq!(system.get(&path).send().await.unwrap().status(), 200);
    let before = system.metrics_until(&system.api, "metrics", |_| true).await;

    let database = system.database().await;
    let drop = sqlx::query("DROP TABLE properties").execute(&database);
    drop.await.unwrap();
    let request = system.get(&path).header("traceparent", traceparent(1));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");

    let trace = Trace::of(&system, 1, "GET /properties/{id}").await;
    let query = trace.named("SELECT properties");
    // SQLITE_ERROR: the statement is wrong.
    assert_eq!(error(query).as_deref(), Some("1"));
    assert_eq!(text(query, "db.response.status_code"), "1");
    let server = trace.named("GET /properties/{id}");
    assert_eq!(error(server).as_deref(), Some("500"));
    let after = system.metrics_until(&system.api, "metrics", |_| true).await;
    let risen = |metric, labels: &[_]| sum(&after, metric, labels) - sum(&before, metric, labels);
    assert_eq!(risen("db_errors_total", &[]), 1.0);
    let kind = [("query_type", "property_by_id")];
    assert_eq!(risen("db_errors_total", &kind), 1.0);
    assert_eq!(risen("db_query_duration_seconds_count", &kind), 1.0);
    let failed = [("path", "/properties/{id}"), ("status", "500")];
    assert_eq!(risen("http_requests_total", &failed), 1.0);
}
