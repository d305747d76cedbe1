//! The attempts of a client that retries.

use std::{
    future::{Ready, ready},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use axum::{Router, extract::Request as Received, routing::any};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request},
    net::{Http, serve},
    table::{Absent, Int, Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tower::{
    Layer, ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
};
use tower_otel_core::Attempts;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::{ALL, table};

/// A policy that retries server errors.
#[derive(Clone)]
struct RetryServerErrors(u8);

impl<B, E> Policy<Request<Empty<Bytes>>, Response<B>, E> for RetryServerErrors {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _request: &mut Request<Empty<Bytes>>,
        result: &mut Result<Response<B>, E>,
    ) -> Option<Self::Future> {
        let failed = !matches!(result, Ok(response) if !response.status().is_server_error());
        self.0 = self.0.checked_sub(u8::from(failed))?;
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Empty<Bytes>>) -> Option<Request<Empty<Bytes>>> {
        Some(request.clone())
    }
}

/// Starts a server that responds 503, 503, 200 and stores every `traceparent`.
async fn succeeds_on_third_request() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let parents = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&parents);
    let times = Arc::new(AtomicU16::new(0));
    let handler = move |request: Received| {
        let parent = request.headers().get("traceparent").cloned().unwrap();
        received
            .lock()
            .unwrap()
            .push(parent.to_str().unwrap().to_owned());
        let third = times.fetch_add(1, Ordering::Relaxed) == 2;
        ready(if third {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        })
    };
    (serve(Router::new().route("/", any(handler))).await, parents)
}

#[tokio::test]
async fn every_attempt_has_its_own_span_and_retries_have_a_resend_count() {
    for backend in Backend::ALL {
        let (server, parents) = succeeds_on_third_request().await;
        let telemetry = TestTelemetry::new();
        let retry = RetryLayer::new(RetryServerErrors(5));
        let client_service = ServiceBuilder::new()
            .layer(PropagateLayer::new())
            .service(hyper_client_to(Http::One, server));
        let mut request = request("GET http://api.example/");
        request.extensions_mut().insert(Attempts::default());
        let layer = backend.layer(telemetry.source(), TraceLayer::client());
        let client = retry.layer(layer.layer(client_service));
        let status = client.oneshot(request).await.unwrap().status();
        assert_eq!(status, StatusCode::OK);
        telemetry
            .wait_until("three attempts end", |telemetry| {
                telemetry.spans().len() == 3
            })
            .await;
        let spans = telemetry.spans();
        let ids = spans.iter().map(|span| {
            let context = &span.span_context;
            format!("00-{}-{}-01", context.trace_id(), context.span_id())
        });
        assert_eq!(*parents.lock().unwrap(), ids.collect::<Vec<_>>());
        let expected = [
            (503, Str("503"), Absent),
            (503, Str("503"), Int(1)),
            (200, Absent, Int(2)),
        ];
        for (span, (code, error, resends)) in spans.iter().zip(expected) {
            assert_eq!(span.name, "GET");
            assert_span_attributes(
                span,
                &[
                    ("http.response.status_code", Int(code)),
                    ("error.type", error),
                    ("http.request.resend_count", resends),
                ],
            );
        }
    }
}

#[tokio::test]
async fn http_request_resend_count_is_absent_without_the_attempts_extension() {
    table(
        &ALL,
        TraceLayer::client,
        "GET http://api.example/status/503 => http.request.resend_count=-",
    )
    .await;
}
