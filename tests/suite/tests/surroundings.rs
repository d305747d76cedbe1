//! What is around a layer and not of its making: how tracing-opentelemetry is set up, what a handler
//! logs, and a buffer between two layers.

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
    scene::{Scene, attribute, within},
    server::{Server, app, raw, traceparent},
    table::{Absent, Int, List, Str, says},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, service_fn};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn asking(path: &str) -> String {
    format!("GET {path} HTTP/1.1\ntraceparent: 00-{TRACE}-{PARENT}-01")
}

// ---- `with_context_activation(false)` ----------------------------------------------------------

#[tokio::test]
async fn without_context_activation_a_span_has_its_parent_its_attributes_and_its_end() {
    let scene = Scene::changed(|layer| layer.with_context_activation(false));
    let layer = TraceLayer::server();
    let server = Server::of(Backend::Tracing, scene, layer, app()).await;
    let span = server.span_of(&asking("/users/7?a=b")).await;
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(span.parent_span_id, SpanId::from_hex(PARENT).unwrap());
    says(
        &span,
        &[
            ("http.route", Str("/users/{id}")),
            ("url.query", Str("a=b")),
            ("http.response.status_code", Int(200)),
        ],
    );
    let span = server.span_of(&asking("/status/503")).await;
    assert_eq!(span.status, Status::error(""));
    says(&span, &[("error.type", Str("503"))]);
}

#[tokio::test]
async fn without_context_activation_the_parent_is_propagated_and_not_the_span() {
    let scene = Scene::changed(|layer| layer.with_context_activation(false));
    let layer = TraceLayer::server();
    let server = Server::of(Backend::Tracing, scene, layer, app()).await;
    let (head, _open) = raw(server.address, &asking("/context")).await;
    let arrived = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(traceparent(&head), Some(arrived.as_str()));
    server.span().await;
}

#[tokio::test]
async fn without_context_activation_what_no_field_can_say_is_left_out() {
    let headers = || [HeaderName::from_static("x-tenant")];
    for (activation, told) in [(true, List(&["acme"])), (false, Absent)] {
        let scene = Scene::changed(|layer| layer.with_context_activation(activation));
        let layer = TraceLayer::server().capture_request_headers(headers());
        let server = Server::of(Backend::Tracing, scene, layer, app()).await;
        let span = server
            .span_of("GET /users/7 HTTP/1.1\nX-Tenant: acme")
            .await;
        says(&span, &[("http.request.header.x-tenant", told)]);
    }
}

// ---- Log lines of level ERROR ------------------------------------------------------------------

/// Answers well, and complains.
async fn complaining() -> &'static str {
    tracing::error!("the cache is cold");
    "fine"
}

#[tokio::test]
async fn an_error_that_a_handler_logs_fails_the_span_that_tracing_opentelemetry_exports() {
    let scene = Scene::new();
    let router = Router::new()
        .route("/", get(complaining))
        .layer(TraceLayer::server());
    let address = suite_tests::net::serve(router).await;
    let (head, _open) = raw(address, "GET / HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    scene
        .until("the span ends", |scene| !scene.spans().is_empty())
        .await;
    let spans = scene.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    assert!(matches!(span.status, Status::Error { .. }), "{span:#?}");
    assert_eq!(attribute(span, "error.type"), None);
}

#[tokio::test]
async fn an_error_that_a_handler_logs_fails_no_span_where_events_are_kept_away() {
    for backend in Backend::ALL {
        // As the documentation says; direct spans need nothing of it.
        let scene = match backend {
            Backend::Tracing | Backend::TracingRecorder => Scene::with(
                opentelemetry_sdk::trace::Sampler::AlwaysOn,
                filter_fn(|metadata| metadata.is_span() && metadata.level() <= &LevelFilter::INFO),
            ),
            Backend::Tracer | Backend::Recorder => Scene::new(),
        };
        let router = Router::new().route("/", get(complaining));
        let server = Server::of(backend, scene, TraceLayer::server(), router).await;
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::Unset);
        assert_eq!(attribute(&span, "error.type"), None);
    }
}

// ---- `tower::buffer` ---------------------------------------------------------------------------

/// Which span is current when a service is called, and when its future is polled.
type Current = Arc<Mutex<Vec<(&'static str, SpanId)>>>;

fn note(seen: &Current, when: &'static str) {
    let current = Context::map_current(|current| current.span().span_context().span_id());
    seen.lock().unwrap().push((when, current));
}

/// A client that notes the current span, and answers with the headers that it was to send.
fn noting(
    seen: &Current,
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
    let seen = seen.clone();
    service_fn(move |request: Request<Empty<Bytes>>| {
        note(&seen, "call");
        let seen = seen.clone();
        async move {
            note(&seen, "poll");
            let mut response = Response::new(Empty::new());
            *response.headers_mut() = request.headers().clone();
            Ok::<_, BoxError>(response)
        }
    })
}

/// Sends a request to its end, and returns the `traceparent` it had at last.
async fn sent<S, B>(client: S) -> Option<String>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let answer = within("an answer", client.oneshot(Request::default())).await;
    let (head, body) = answer.unwrap().into_parts();
    body.collect().await.unwrap();
    let line = head.headers.get("traceparent")?;
    Some(line.to_str().unwrap().to_owned())
}

fn only(scene: &Scene) -> (SpanId, String) {
    let spans = scene.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    let context = &span.span_context;
    let (trace, id) = (context.trace_id(), context.span_id());
    (id, format!("00-{trace}-{id}-01"))
}

#[tokio::test]
async fn what_is_inside_of_a_buffer_is_polled_in_the_context_of_the_span_outside() {
    for backend in Backend::ALL {
        let (scene, seen) = (Scene::new(), Current::default());
        let client = ServiceBuilder::new()
            .layer(backend.layer(scene.source(), TraceLayer::client()))
            .layer(BufferLayer::new(4))
            .service(noting(&seen));
        sent(client).await;
        let (id, _) = only(&scene);
        let called = match backend {
            // The buffer enters the `tracing` span of its caller by itself.
            Backend::Tracing | Backend::TracingRecorder => id,
            Backend::Tracer | Backend::Recorder => SpanId::INVALID,
        };
        assert_eq!(*seen.lock().unwrap(), [("call", called), ("poll", id)]);
    }
}

#[tokio::test]
async fn a_buffer_inside_of_the_layers_does_no_harm() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let client = ServiceBuilder::new()
            .layer(backend.layer(scene.source(), TraceLayer::client()))
            .layer(PropagateLayer::new())
            .layer(BufferLayer::new(4))
            .service(noting(&Current::default()));
        let traceparent = sent(client).await;
        let (_, own) = only(&scene);
        assert_eq!(traceparent, Some(own));
    }
}

#[tokio::test]
async fn a_buffer_between_the_layers_costs_the_header_of_a_direct_span() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let client = ServiceBuilder::new()
            .layer(backend.layer(scene.source(), TraceLayer::client()))
            .layer(BufferLayer::new(4))
            .layer(PropagateLayer::new())
            .service(noting(&Current::default()));
        let traceparent = sent(client).await;
        let (_, own) = only(&scene);
        let expected = backend.opens_tracing_spans().then_some(own);
        assert_eq!(traceparent, expected);
    }
}

#[tokio::test]
async fn a_buffer_outside_of_the_layers_hides_the_caller_from_them() {
    let parent = SpanContext::new(
        TraceId::from_hex(TRACE).unwrap(),
        SpanId::from_hex(PARENT).unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    for backend in Backend::ALL {
        for (hidden, expected) in [(false, parent.span_id()), (true, SpanId::INVALID)] {
            let scene = Scene::new();
            let client = ServiceBuilder::new()
                .option_layer(hidden.then(|| BufferLayer::new(4)))
                .layer(backend.layer(scene.source(), TraceLayer::client()))
                .service(noting(&Current::default()));
            let current = Context::new().with_remote_span_context(parent.clone());
            sent(client).with_context(current).await;
            assert_eq!(scene.spans()[0].parent_span_id, expected);
        }
    }
}
