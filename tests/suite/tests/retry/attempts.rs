//! Every attempt has its own span.

use std::pin::Pin;

use http::{Extensions, StatusCode};
use opentelemetry::trace::SpanKind;
use reqwest_middleware::{ClientBuilder, Next};
use suite_tests::telemetry::{TestTelemetry, text, with_timeout};
use tower_otel_core::observe;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::server::{failing, parent_id, resends, retry, trace_id};

#[tokio::test]
async fn every_attempt_has_its_own_span_and_traceparent() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(retry())
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();

    let response = client.get(format!("http://{address}/users/7")).send();
    let response = with_timeout("the third response", response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "answer");

    let spans = telemetry.spans();
    assert_eq!(resends(&telemetry), [None, Some(1), Some(2)]);
    assert!(spans.iter().all(|span| span.span_kind == SpanKind::Client));
    let errors: Vec<_> = spans.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(errors, [Some("503".into()), Some("503".into()), None]);

    let received_requests = received_requests.lock().unwrap();
    let received: Vec<_> = received_requests
        .iter()
        .map(|(head, _)| parent_id(&head.headers))
        .collect();
    let sent: Vec<_> = spans
        .iter()
        .map(|span| span.span_context.span_id().to_string())
        .collect();
    assert_eq!(received, sent, "each attempt sends its own span id");
    assert_ne!(sent[0], sent[1]);
    assert_ne!(sent[1], sent[2]);
}

#[tokio::test]
async fn attempts_in_an_outer_span_belong_to_its_trace() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(observe(TraceLayer::client()).into_middleware())
        .with(retry())
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();

    let response = client.get(format!("http://{address}/")).send();
    let response = with_timeout("the third response", response).await.unwrap();
    response.bytes().await.unwrap();

    // The outer span ends last, with the body. It is not an attempt.
    assert_eq!(resends(&telemetry), [None, Some(1), Some(2), None]);
    let spans = telemetry.spans();
    let outer = spans.last().unwrap();
    for attempt in &spans[..3] {
        assert_eq!(attempt.parent_span_id, outer.span_context.span_id());
    }
    let trace = outer.span_context.trace_id().to_string();
    let received_requests = received_requests.lock().unwrap();
    assert!(
        received_requests
            .iter()
            .all(|(head, _)| trace_id(&head.headers) == trace)
    );
}

#[tokio::test]
async fn a_dropped_attempt_is_counted() {
    /// A middleware that drops the first attempt after its request was sent, and then makes another attempt.
    fn drops_first_attempt<'a>(
        request: reqwest::Request,
        extensions: &'a mut Extensions,
        next: Next<'a>,
    ) -> Pin<Box<dyn Future<Output = reqwest_middleware::Result<reqwest::Response>> + Send + 'a>>
    {
        Box::pin(async move {
            let again = request.try_clone().unwrap();
            let first = next.clone().run(request, extensions);
            tokio::select! {
                biased;
                response = first => return response,
                () = tokio::task::yield_now() => {}
            }
            next.run(again, extensions).await
        })
    }

    let telemetry = TestTelemetry::new();
    let (address, _) = failing(0).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(drops_first_attempt)
        .with(observe(TraceLayer::client()).into_middleware())
        .build();
    let sending = client.get(format!("http://{address}/")).send();
    with_timeout("the response", sending)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(resends(&telemetry), [None, Some(1)]);
}
