//! Who is not let in.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use suite_tests::telemetry::sum;

use crate::{
    CLIENT, TRACE,
    harness::{SECRET, System},
};

/// A token, of which the time is over in so many seconds.
fn token(secret: &str, audience: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "sub": "somebody",
        "aud": audience,
        "exp": i64::try_from(now.as_secs()).unwrap() + seconds,
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_longer_one_or_never_was_is_refused_and_counted_by_the_reason() {
    let system = System::start().await;
    let url = format!("{}/properties", system.api);
    for (reason, token) in [
        ("expired", Some(token(SECRET, "api-server", -60))),
        (
            "bad_signature",
            Some(token("another secret", "api-server", 60)),
        ),
        ("wrong_audience", Some(token(SECRET, "reality-server", 60))),
        ("malformed_token", Some("no.token.either".to_owned())),
        ("missing_token", None),
    ] {
        let before = system.metrics_until(&system.api, "metrics", |_| true).await;
        let request = system.client.get(&url).header("traceparent", TRACE);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{reason}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body = answer.text().await.unwrap();
        assert!(!body.contains(reason), "they are not told: {body}");
        let after = system.metrics_until(&system.api, "metrics", |_| true).await;
        let risen = |labels: &[_]| {
            sum(&after, "auth_failures_total", labels) - sum(&before, "auth_failures_total", labels)
        };
        assert_eq!(risen(&[("reason", reason)]), 1.0, "{reason}");
        assert_eq!(risen(&[]), 1.0, "{reason}");
    }
    let of_api = |spans: &[(String, Span)]| -> Vec<Span> {
        let spans = spans.iter().map(|(_, span)| span);
        let named = spans.filter(|span| span.name == "GET /properties");
        named.cloned().collect()
    };
    let spans = system
        .spans("five requests", |spans| of_api(spans).len() == 5)
        .await;
    for span in of_api(&spans) {
        assert!(span.parent_span_id.is_empty(), "a stranger: {span:#?}");
        assert_eq!(span.links[0].span_id, CLIENT);
    }
}
