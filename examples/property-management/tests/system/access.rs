//! Requests without a valid token.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use suite_tests::telemetry::sum;

use crate::{
    REMOTE_SPAN, TRACEPARENT,
    harness::{EMAIL, PASSWORD, SECRET, System, text},
};

/// Returns a token that expires in `seconds`.
fn token(secret: &str, audience: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "sub": "user",
        "aud": audience,
        "exp": i64::try_from(now.as_secs()).unwrap() + seconds,
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_token_gets_401_and_is_counted_by_reason() {
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
        let request = system.client.get(&url).header("traceparent", TRACEPARENT);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{reason}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let body = response.text().await.unwrap();
        assert!(
            !body.contains(reason),
            "the response shows the reason: {body}"
        );
        let after = system.metrics_until(&system.api, "metrics", |_| true).await;
        let increase = |labels: &[_]| {
            sum(&after, "auth_failures_total", labels) - sum(&before, "auth_failures_total", labels)
        };
        assert_eq!(increase(&[("reason", reason)]), 1.0, "{reason}");
        assert_eq!(increase(&[]), 1.0, "{reason}");
    }
    let requests = |spans: &[(String, Span)]| -> Vec<Span> {
        let spans = spans.iter().map(|(_, span)| span);
        let named = spans.filter(|span| span.name == "GET /properties");
        named.cloned().collect()
    };
    let spans = system
        .spans("five requests", |spans| requests(spans).len() == 5)
        .await;
    for span in requests(&spans) {
        assert!(
            span.parent_span_id.is_empty(),
            "a remote parent is continued: {span:#?}"
        );
        assert_eq!(span.links[0].span_id, REMOTE_SPAN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_no_error_of_the_database() {
    let system = System::start().await;
    system.create_user_with_flat().await;
    let again = json!({ "email": EMAIL, "password": PASSWORD });
    let response = system.post("/users", Some(again)).send().await.unwrap();
    assert_eq!(response.status(), 409);
    let metrics = system.metrics_until(&system.api, "metrics", |_| true).await;
    assert_eq!(sum(&metrics, "db_errors_total", &[]), 0.0, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operational_routes_are_only_at_their_own_address() {
    let mut system = System::start().await;
    let [service, operations, _] = system.start_with_operations().await;
    let status = async |url: String| system.client.get(url).send().await.unwrap().status();
    assert_eq!(status(format!("{service}/listings")).await, 200);
    assert_eq!(status(format!("{operations}/listings")).await, 404);
    for path in ["metrics", "healthz", "readyz"] {
        assert_eq!(
            status(format!("{service}/{path}")).await,
            404,
            "{path} is public"
        );
        assert_eq!(status(format!("{operations}/{path}")).await, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_is_controlled_only_at_an_address_of_its_own() {
    let mut system = System::start().await;
    let [service, operations, control] = system.start_with_operations().await;
    let put = async |base: &str| {
        let request = system.client.put(format!("{base}/sampling"));
        let response = request.body("parentbased_always_on").send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    for base in [&service, &operations] {
        assert_eq!(put(base).await.0, 404, "{base}");
    }
    let (status, sampling) = put(&control).await;
    assert_eq!(status, 200);
    assert_eq!(sampling.trim(), "parentbased_always_on");
    let current = system.client.get(format!("{control}/sampling"));
    let current = current.send().await.unwrap().text().await.unwrap();
    assert_eq!(current.trim(), "parentbased_always_on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_method_has_a_span_with_the_id_of_the_user() {
    let system = System::start().await;
    system.create_user_with_flat().await;
    let response = system.get("/properties").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let is_method = |(_, span): &&(String, Span)| span.name == "properties";
    let spans = system
        .spans("the method", |spans| {
            spans.iter().any(|span| is_method(&span))
        })
        .await;
    let (_, method) = spans.iter().find(is_method).unwrap();
    let user: uuid::Uuid = text(method, "user_id").parse().unwrap();
    assert!(!user.is_nil());
}
