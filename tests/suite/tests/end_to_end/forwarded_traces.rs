//! The trace that a service forwards.

use std::{fmt::Debug, time::Duration};

use axum::{Router, body::Bytes, routing::get};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use suite_tests::{
    backend::{Backend, Source},
    net::{BoxError, serve},
    telemetry::{TestTelemetry, with_timeout},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::{Filter, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::services::{ProcessBackend, ReceivedHeaders, bare_client, client, request};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACESTATE: &str = "vendor=1,tenant@@system=2";

/// Sends a request with a trace to a service that calls another service with `client`. Returns the trace
/// headers that the other service received.
async fn forwarded_headers<C>(
    process_backend: &ProcessBackend,
    client: C,
    filter: Filter,
) -> (String, Option<String>)
where
    C: Service<reqwest::Request, Response = reqwest::Response, Error = reqwest::Error>
        + Clone
        + Send
        + Sync
        + 'static,
    C::Future: Send,
{
    let received_headers = ReceivedHeaders::default();
    let state = received_headers.clone();
    let behind = serve(Router::new().fallback(async move |headers: HeaderMap| {
        state.lock().unwrap().push(headers);
    }))
    .await;
    let front = Router::new()
        .route(
            "/health/live",
            get(async move || {
                let response = client.oneshot(request(behind, "/")).await.unwrap();
                response.status()
            }),
        )
        .layer(
            ServiceBuilder::new()
                .layer(process_backend.layer(TraceLayer::server().filter(filter.clone())))
                .layer(MetricsLayer::server().filter(filter)),
        );
    let mut incoming = request(serve(front).await, "/health/live");
    let headers = incoming.headers_mut();
    headers.insert("traceparent", TRACEPARENT.parse().unwrap());
    headers.insert("tracestate", TRACESTATE.parse().unwrap());
    let response = with_timeout("the response", bare_client().execute(incoming)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let received_headers = received_headers.lock().unwrap();
    let [received] = received_headers.as_slice() else {
        panic!("one request, not {received_headers:?}");
    };
    let line = |name: &str| {
        let mut lines = received.get_all(name).iter();
        let line = lines.next().map(|line| line.to_str().unwrap().to_owned());
        assert_eq!(lines.next(), None);
        line
    };
    (line("traceparent").unwrap(), line("tracestate"))
}

#[tokio::test]
async fn a_filtered_request_forwards_its_trace() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let process_backend = ProcessBackend(backend, telemetry.source().clone());
        let client = ServiceBuilder::new()
            .layer(PropagateLayer::new())
            .service(bare_client());
        let filter = Filter::skip_paths(["/health"]);
        let (traceparent, tracestate) = forwarded_headers(&process_backend, client, filter).await;
        assert_eq!(traceparent, TRACEPARENT);
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
        assert_eq!(telemetry.spans(), []);
        assert_eq!(telemetry.sum("http_requests_total", &[]), 0.0);
    }
}

#[tokio::test]
async fn a_client_span_in_a_filtered_request_belongs_to_its_trace() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let process_backend = ProcessBackend(backend, telemetry.source().clone());
        let filter = Filter::skip_paths(["/health"]);
        let (traceparent, tracestate) =
            forwarded_headers(&process_backend, client(&process_backend), filter).await;
        let spans = telemetry.spans();
        let [span] = spans.as_slice() else {
            panic!("one span, not {spans:#?}");
        };
        let (context, parent) = (&span.span_context, span.parent_span_id);
        let (trace, id) = (context.trace_id(), context.span_id());
        assert_eq!(traceparent, format!("00-{trace}-{id}-01"));
        assert_eq!(TRACEPARENT, format!("00-{trace}-{parent}-01"));
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
        assert_eq!(telemetry.sum("http_requests_total", &[]), 0.0);
        assert_eq!(telemetry.sum("http_client_requests_total", &[]), 1.0);
    }
}

#[tokio::test]
async fn joined_observers_write_the_client_span_in_either_order() {
    fn traceparent(request: Request<()>) -> Result<Response<String>, BoxError> {
        let header = request.headers().get("traceparent");
        Ok(Response::new(header.unwrap().to_str()?.to_owned()))
    }
    async fn body_of<B>(response: Result<Response<B>, BoxError>) -> Bytes
    where
        B: http_body::Body<Data = Bytes, Error: Debug>,
    {
        let body = response.unwrap().into_body();
        body.collect().await.unwrap().to_bytes()
    }
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let trace = || backend.layer(telemetry.source(), TraceLayer::client());
        let echo = service_fn(async |request| traceparent(request));
        let inside = observe((trace(), PropagateLayer::new())).layer(echo);
        let outside = observe((PropagateLayer::new(), trace())).layer(echo);
        let sent = [
            body_of(inside.oneshot(Request::new(())).await).await,
            body_of(outside.oneshot(Request::new(())).await).await,
        ];
        for sent in sent {
            let spans = telemetry.spans();
            let written = spans.iter().any(|span| {
                let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
                sent == format!("00-{trace}-{id}-01")
            });
            assert!(written, "{sent:?} in {spans:#?}");
        }
    }
}

#[tokio::test]
async fn an_unrecorded_request_forwards_its_trace() {
    for backend in Backend::ALL {
        // A provider and a recorder that are shut down record nothing.
        let source = Source::discarding();
        source.provider.shutdown().unwrap();
        source.recorder.shutdown(Duration::from_secs(20)).unwrap();
        let process_backend = ProcessBackend(backend, source);
        let (traceparent, tracestate) = forwarded_headers(
            &process_backend,
            client(&process_backend),
            Filter::default(),
        )
        .await;
        assert_eq!(traceparent, TRACEPARENT);
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
    }
}
