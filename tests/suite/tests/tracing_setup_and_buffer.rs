//! The trace layer with other setups of tracing-opentelemetry, with log events of handlers and with
//! `tower::buffer`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::sync::{Arc, Mutex};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Empty};
use opentelemetry::{
    Context,
    trace::{
        FutureExt, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    },
};
use suite_tests::{
    backend::Backend,
    keys::known_keys,
    server::{Server, app, send_raw, traceparent},
    table::{Absent, Int, List, Str, assert_span_attributes},
    telemetry::{TestTelemetry, attribute, with_timeout},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, service_fn};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn request_with_parent(path: &str) -> String {
    format!("GET {path} HTTP/1.1\ntraceparent: 00-{TRACE}-{PARENT}-01")
}

// ---- The setup in the documentation of tower-otel-trace -----------------------------------------

#[tokio::test]
async fn with_the_documented_setup_a_span_has_only_attributes_of_the_conventions() {
    let telemetry = TestTelemetry::with_tracing_layer(|layer| {
        layer
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
    });
    let layer = TraceLayer::server();
    let server = Server::with_router(Backend::Tracing, telemetry, layer, app()).await;
    let span = server.span_of("GET /status/503?a=b HTTP/1.1").await;
    let known = known_keys(&span.span_kind);
    for attribute in &span.attributes {
        assert!(known.contains(&attribute.key.as_str()), "{attribute:?}");
    }
}

// ---- `with_context_activation(false)` ----------------------------------------------------------

#[tokio::test]
async fn without_context_activation_a_span_has_its_parent_its_attributes_and_its_end() {
    let telemetry = TestTelemetry::with_tracing_layer(|layer| layer.with_context_activation(false));
    let layer = TraceLayer::server();
    let server = Server::with_router(Backend::Tracing, telemetry, layer, app()).await;
    let span = server.span_of(&request_with_parent("/users/7?a=b")).await;
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(span.parent_span_id, SpanId::from_hex(PARENT).unwrap());
    assert_span_attributes(
        &span,
        &[
            ("http.route", Str("/users/{id}")),
            ("url.query", Str("a=b")),
            ("http.response.status_code", Int(200)),
        ],
    );
    let span = server.span_of(&request_with_parent("/status/503")).await;
    assert_eq!(span.status, Status::error(""));
    assert_span_attributes(&span, &[("error.type", Str("503"))]);
}

#[tokio::test]
async fn without_context_activation_the_parent_is_propagated_instead_of_the_span() {
    let telemetry = TestTelemetry::with_tracing_layer(|layer| layer.with_context_activation(false));
    let layer = TraceLayer::server();
    let server = Server::with_router(Backend::Tracing, telemetry, layer, app()).await;
    let (head, _open) = send_raw(server.address, &request_with_parent("/context")).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(traceparent(&head), Some(parent.as_str()));
    server.next_span().await;
}

#[tokio::test]
async fn without_context_activation_captured_headers_are_omitted() {
    let headers = || [HeaderName::from_static("x-tenant")];
    for (activation, expected) in [(true, List(&["acme"])), (false, Absent)] {
        let telemetry =
            TestTelemetry::with_tracing_layer(|layer| layer.with_context_activation(activation));
        let layer = TraceLayer::server().capture_request_headers(headers());
        let server = Server::with_router(Backend::Tracing, telemetry, layer, app()).await;
        let span = server
            .span_of("GET /users/7 HTTP/1.1\nX-Tenant: acme")
            .await;
        assert_span_attributes(&span, &[("http.request.header.x-tenant", expected)]);
    }
}

// ---- Log events of level ERROR -----------------------------------------------------------------

/// Logs an error, and responds with success.
async fn logs_error() -> &'static str {
    tracing::error!("the cache is cold");
    "fine"
}

#[tokio::test]
async fn an_error_event_of_a_handler_sets_the_span_status_with_tracing_opentelemetry() {
    let telemetry = TestTelemetry::new();
    let router = Router::new()
        .route("/", get(logs_error))
        .layer(TraceLayer::server());
    let address = suite_tests::net::serve(router).await;
    let (head, _open) = send_raw(address, "GET / HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    telemetry
        .wait_until("the span ends", |telemetry| !telemetry.spans().is_empty())
        .await;
    let spans = telemetry.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    assert!(matches!(span.status, Status::Error { .. }), "{span:#?}");
    assert_eq!(attribute(span, "error.type"), None);
}

#[tokio::test]
async fn an_error_event_of_a_handler_does_not_set_the_span_status_if_events_are_filtered() {
    for backend in Backend::ALL {
        // The filter of the documentation. Direct spans do not need it.
        let telemetry = match backend {
            // A layer that is alone has no filter.
            Backend::TracingRecord => continue,
            Backend::Tracing | Backend::TracingRecorder => TestTelemetry::with_sampler_and_filter(
                opentelemetry_sdk::trace::Sampler::AlwaysOn,
                filter_fn(|metadata| metadata.is_span() && metadata.level() <= &LevelFilter::INFO),
            ),
            Backend::Tracer | Backend::Recorder => TestTelemetry::new(),
        };
        let router = Router::new().route("/", get(logs_error));
        let server = Server::with_router(backend, telemetry, TraceLayer::server(), router).await;
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::Unset);
        assert_eq!(attribute(&span, "error.type"), None);
    }
}

// ---- `tower::buffer` ---------------------------------------------------------------------------

/// The current span of each call and poll of a service.
type Current = Arc<Mutex<Vec<(&'static str, SpanId)>>>;

fn record_current(current_spans: &Current, when: &'static str) {
    let current = Context::map_current(|current| current.span().span_context().span_id());
    current_spans.lock().unwrap().push((when, current));
}

/// Returns a client that stores the current span and responds with the headers of the request.
fn recording_client(
    current_spans: &Current,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<Empty<Bytes>>,
    Error = BoxError,
    Future: Send,
>
+ Clone
+ Send
+ 'static
+ use<> {
    let current_spans = current_spans.clone();
    service_fn(move |request: Request<Empty<Bytes>>| {
        record_current(&current_spans, "call");
        let current_spans = current_spans.clone();
        async move {
            record_current(&current_spans, "poll");
            let mut response = Response::new(Empty::new());
            *response.headers_mut() = request.headers().clone();
            Ok::<_, BoxError>(response)
        }
    })
}

/// Sends a request and returns the `traceparent` that the inner client received.
async fn sent_traceparent<S, B>(client: S) -> Option<String>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let response = with_timeout("the response", client.oneshot(Request::default())).await;
    let (head, body) = response.unwrap().into_parts();
    body.collect().await.unwrap();
    let line = head.headers.get("traceparent")?;
    Some(line.to_str().unwrap().to_owned())
}

fn single_span(telemetry: &TestTelemetry) -> (SpanId, String) {
    let spans = telemetry.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    let context = &span.span_context;
    let (trace, id) = (context.trace_id(), context.span_id());
    (id, format!("00-{trace}-{id}-01"))
}

#[tokio::test]
async fn a_service_inside_a_buffer_is_polled_in_the_context_of_the_outer_span() {
    for backend in Backend::ALL {
        let (telemetry, current_spans) = (TestTelemetry::new(), Current::default());
        let client = ServiceBuilder::new()
            .layer(backend.layer(telemetry.source(), TraceLayer::client()))
            .layer(BufferLayer::new(4))
            .service(recording_client(&current_spans));
        sent_traceparent(client).await;
        let (id, _) = single_span(&telemetry);
        let called = match backend {
            // The buffer itself enters the `tracing` span of its caller.
            Backend::Tracing | Backend::TracingRecorder | Backend::TracingRecord => id,
            Backend::Tracer | Backend::Recorder => SpanId::INVALID,
        };
        assert_eq!(
            *current_spans.lock().unwrap(),
            [("call", called), ("poll", id)]
        );
    }
}

#[tokio::test]
async fn a_buffer_inside_the_layers_does_not_change_the_traceparent() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let client = ServiceBuilder::new()
            .layer(backend.layer(telemetry.source(), TraceLayer::client()))
            .layer(PropagateLayer::new())
            .layer(BufferLayer::new(4))
            .service(recording_client(&Current::default()));
        let traceparent = sent_traceparent(client).await;
        let (_, own) = single_span(&telemetry);
        assert_eq!(traceparent, Some(own));
    }
}

#[tokio::test]
async fn a_buffer_between_the_layers_drops_the_traceparent_of_a_direct_span() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let client = ServiceBuilder::new()
            .layer(backend.layer(telemetry.source(), TraceLayer::client()))
            .layer(BufferLayer::new(4))
            .layer(PropagateLayer::new())
            .service(recording_client(&Current::default()));
        let traceparent = sent_traceparent(client).await;
        let (_, own) = single_span(&telemetry);
        let expected = backend.opens_tracing_spans().then_some(own);
        assert_eq!(traceparent, expected);
    }
}

#[tokio::test]
async fn a_buffer_around_the_layers_hides_the_parent_span() {
    let parent = SpanContext::new(
        TraceId::from_hex(TRACE).unwrap(),
        SpanId::from_hex(PARENT).unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    for backend in Backend::ALL {
        for (hidden, expected) in [(false, parent.span_id()), (true, SpanId::INVALID)] {
            let telemetry = TestTelemetry::new();
            let client = ServiceBuilder::new()
                .option_layer(hidden.then(|| BufferLayer::new(4)))
                .layer(backend.layer(telemetry.source(), TraceLayer::client()))
                .service(recording_client(&Current::default()));
            let current = Context::new().with_remote_span_context(parent.clone());
            sent_traceparent(client).with_context(current).await;
            assert_eq!(telemetry.spans()[0].parent_span_id, expected);
        }
    }
}
