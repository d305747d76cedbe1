//! Routes and changes to the span by handlers.

use std::{
    cell::Cell,
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{Extension, Router, body::Body};
use http::{Request, Response, StatusCode, header};
use http_body_util::Empty;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    net::{BoxError, ClientConnection, Http},
    sampler::RecordingSampler,
    server::{Server, next_span, send_raw},
    table::{Absent, Int, Str, assert_span_attributes},
    telemetry::{TestTelemetry, attribute, with_timeout},
};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_core::RouteSlot;
use tower_otel_trace::{SpanHandle, TraceLayer};
use tracing_subscriber::filter::LevelFilter;

use crate::{check_layer_on_routes, serve_behind_layer};

#[tokio::test]
async fn a_handler_sets_the_route_through_the_route_slot() {
    check_layer_on_routes(
        || {
            Router::new().fallback(|Extension(slot): Extension<RouteSlot>| async move {
                slot.set("/pages/{slug}");
            })
        },
        "GET /pages/about => GET /pages/{slug} | http.route=/pages/{slug}",
    )
    .await;
}

#[tokio::test]
async fn a_route_that_is_set_before_the_layer_is_known_at_the_start() {
    for backend in Backend::ALL {
        let sampler = RecordingSampler::default();
        let telemetry = TestTelemetry::with_sampler_and_filter(sampler.clone(), LevelFilter::INFO);
        let hello =
            service_fn(async |_: Request<()>| Ok::<_, BoxError>(Response::new(Body::empty())));
        let layer = backend.layer(telemetry.source(), TraceLayer::server());
        let mut request = Request::new(());
        let slot = RouteSlot::default();
        slot.set("/pages/{slug}");
        request.extensions_mut().insert(slot);
        layer.layer(hello).oneshot(request).await.unwrap();
        let inputs = sampler.inputs();
        let [input] = inputs.as_slice() else {
            panic!("one span, not {inputs:?}");
        };
        assert_eq!(input.name, "GET /pages/{slug}");
        assert!(
            input
                .attributes
                .contains(&KeyValue::new("http.route", "/pages/{slug}"))
        );
    }
}

#[tokio::test]
async fn the_route_slot_is_read_if_the_handler_panics() {
    for backend in Backend::ALL {
        let router = Router::new().fallback(|Extension(slot): Extension<RouteSlot>| async move {
            slot.set("/pages/{slug}");
            if slot.get().is_some() {
                panic!("the handler panics");
            }
        });
        let server = serve_behind_layer(backend, TraceLayer::server(), router).await;
        let (head, _) = send_raw(server.address, "GET /pages/about HTTP/1.1").await;
        assert_eq!(head, "", "no response is sent");
        let span = server.next_span().await;
        assert_eq!(span.name, "GET /pages/{slug}");
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.route", Str("/pages/{slug}")),
                ("error.type", Str("panic")),
                ("http.response.status_code", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn the_route_slot_is_read_if_the_request_is_cancelled() {
    for backend in Backend::ALL {
        let started = Arc::new(Notify::new());
        let handler_started = Arc::clone(&started);
        let router = Router::new().fallback(move |Extension(slot): Extension<RouteSlot>| {
            slot.set("/pages/{slug}");
            handler_started.notify_one();
            pending::<StatusCode>()
        });
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let mut connection = ClientConnection::connect(Http::One, server.address).await;
        let request = Request::get("/pages/about").body(Empty::new()).unwrap();
        tokio::select! {
            _ = connection.send(request) => panic!("unexpected response"),
            () = with_timeout("the handler runs", started.notified()) => {}
        }
        connection.close();
        let span = server.next_span().await;
        assert_eq!(span.name, "GET /pages/{slug}");
        assert_span_attributes(
            &span,
            &[
                ("http.route", Str("/pages/{slug}")),
                ("error.type", Str("cancelled")),
            ],
        );
    }
}

/// A task of the request can drop the response in the context of the request.
#[tokio::test]
async fn the_route_slot_is_read_if_the_response_is_dropped_in_the_context_of_the_request() {
    for backend in Backend::ALL {
        let context_of_handler = Arc::new(Mutex::new(None));
        let stored_context = Arc::clone(&context_of_handler);
        let router = Router::new().fallback(move |Extension(slot): Extension<RouteSlot>| {
            slot.set("/pages/{slug}");
            *stored_context.lock().unwrap() = Some(Context::current());
            async { "ok" }
        });
        let telemetry = TestTelemetry::new();
        let router = backend.layer_router(&telemetry, TraceLayer::server(), router);
        let request = Request::get("/pages/about").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let context = context_of_handler.lock().unwrap().take().unwrap();
        let entered = context.attach();
        drop(response);
        drop(entered);
        let spans = telemetry.spans();
        let span = spans.first().unwrap();
        assert_eq!(span.name, "GET /pages/{slug}", "{backend:?}");
        assert_span_attributes(span, &[("http.route", Str("/pages/{slug}"))]);
    }
}

#[tokio::test]
async fn requests_on_one_connection_have_their_own_routes() {
    for backend in Backend::ALL {
        let router = Router::new().fallback(
            |Extension(slot): Extension<RouteSlot>, request: axum::extract::Request| async move {
                if let Some(route) = request.headers().get(header::FROM) {
                    slot.set(route.to_str().unwrap().to_owned());
                }
            },
        );
        let server = serve_behind_layer(backend, TraceLayer::server(), router).await;
        let mut connection = ClientConnection::connect(Http::One, server.address).await;
        let spans_returned = Cell::new(0);
        for route in [Some("/a/{b}"), None, Some("/c/{d}")] {
            let mut request = Request::get("/").body(Empty::new()).unwrap();
            if let Some(route) = route {
                let headers = request.headers_mut();
                headers.insert(header::FROM, route.parse().unwrap());
            }
            connection.send(request).await.unwrap();
            let span = next_span(&server.telemetry, backend, &spans_returned).await;
            assert_span_attributes(&span, &[("http.route", route.map_or(Absent, Str))]);
        }
    }
}

/// Runs `act` in a handler with the handle of its span. Returns the span of each backend.
async fn spans_of_handler<F>(layer: TraceLayer, act: F) -> Vec<SpanData>
where
    F: Fn(SpanHandle, Option<RouteSlot>) + Clone + Send + Sync + 'static,
{
    let mut spans = Vec::new();
    for backend in Backend::ALL {
        let act = act.clone();
        let router = Router::new().fallback(
            move |Extension(span): Extension<SpanHandle>, slot: Option<Extension<RouteSlot>>| {
                act(span, slot.map(|Extension(slot)| slot));
                async { "ok" }
            },
        );
        let telemetry = TestTelemetry::new();
        let router = backend.layer_router(&telemetry, layer.clone(), router);
        let server = Server::serve_router(backend, telemetry, router).await;
        // Does not use `next_span`, which rejects attributes of the application.
        let (_, _open) = send_raw(server.address, "GET /pages/about HTTP/1.1").await;
        server
            .telemetry
            .wait_until("a span ends", |telemetry| !telemetry.spans().is_empty())
            .await;
        spans.extend(server.telemetry.spans());
    }
    assert_eq!(spans.len(), Backend::ALL.len());
    spans
}

#[tokio::test]
async fn a_name_set_by_the_handler_overrides_a_late_route() {
    let layer = TraceLayer::server().expose_span();
    for span in spans_of_handler(layer, |span, slot| {
        span.set_name("the about page");
        slot.unwrap().set("/pages/{slug}");
    })
    .await
    {
        assert_eq!(span.name, "the about page");
        assert_span_attributes(&span, &[("http.route", Str("/pages/{slug}"))]);
    }
}

#[tokio::test]
async fn a_name_set_by_the_handler_overrides_a_known_route() {
    let layer = TraceLayer::server()
        .expose_span()
        .route(|_| Some("/pages/{slug}".into()));
    for span in spans_of_handler(layer, |span, _| span.set_name("the about page")).await {
        assert_eq!(span.name, "the about page");
        assert_span_attributes(&span, &[("http.route", Str("/pages/{slug}"))]);
    }
}

#[tokio::test]
async fn an_http_route_attribute_set_by_the_handler_does_not_rename_the_span() {
    let layer = TraceLayer::server().expose_span();
    for span in spans_of_handler(layer, |span, _| {
        span.set_attribute(KeyValue::new("http.route", "/pages/own"));
    })
    .await
    {
        assert_eq!(span.name, "GET");
        assert_eq!(attribute(&span, "http.route"), Some("/pages/own".into()));
    }
}

#[tokio::test]
async fn a_handler_adds_an_attribute_and_a_link() {
    let other = SpanContext::new(
        TraceId::from(7),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let linked = other.clone();
    let layer = TraceLayer::server().expose_span();
    for span in spans_of_handler(layer, move |span, _| {
        span.set_attribute(KeyValue::new("shop.cache", "hit"));
        span.add_link(linked.clone(), vec![KeyValue::new("shop.cause", "batch")]);
    })
    .await
    {
        assert_eq!(attribute(&span, "shop.cache"), Some("hit".into()));
        let [link] = span.links.links.as_slice() else {
            panic!("one link, not {:#?}", span.links);
        };
        assert_eq!(link.span_context, other);
        assert_eq!(link.attributes, [KeyValue::new("shop.cause", "batch")]);
    }
}

#[tokio::test]
async fn the_span_handle_is_absent_by_default() {
    for backend in Backend::ALL {
        let router = Router::new().fallback(|span: Option<Extension<SpanHandle>>| async move {
            match span {
                Some(_) => StatusCode::OK,
                None => StatusCode::NO_CONTENT,
            }
        });
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_span_attributes(&span, &[("http.response.status_code", Int(204))]);
    }
}
