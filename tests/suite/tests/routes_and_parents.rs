//! Routes from routers and handlers, changes to the span by handlers, and remote parents.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    cell::Cell,
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{
    Extension, Router,
    body::Body,
    response::IntoResponse,
    routing::{any, get},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use suite_tests::{
    backend::Backend,
    net::{BoxError, ClientConnection, Http},
    sampler::RecordingSampler,
    server::{Server, context, next_span, send_raw, traceparent},
    table::{Absent, Int, Row, Str, assert_span_attributes},
    telemetry::{TestTelemetry, attribute, with_timeout},
};
use tokio::sync::Notify;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::MapRequestLayer};
use tower_otel_core::{RequestHead, Route, RouteLayer, RouteSlot};
use tower_otel_propagate::{Propagation, RemoteParent};
use tower_otel_trace::{SpanHandle, TraceLayer};
use tracing_subscriber::filter::LevelFilter;

async fn ok() -> &'static str {
    "ok"
}

fn route_row(route: Option<&str>) -> Row<'_> {
    ("http.route", route.map_or(Absent, Str))
}

/// Checks span names and routes with the layer on the routes of a router.
async fn check_layer_on_routes(router: fn() -> Router, cases: &[(&str, &str, Option<&str>)]) {
    for backend in Backend::ALL {
        let server = Server::with_router(
            backend,
            TestTelemetry::new(),
            TraceLayer::server(),
            router(),
        )
        .await;
        check(&server, cases).await;
    }
}

/// Checks span names and routes with the layer around a router.
async fn check_layer_around_router(router: fn() -> Router, cases: &[(&str, &str, Option<&str>)]) {
    for backend in Backend::ALL {
        check(
            &serve_behind_layer(backend, TraceLayer::server(), router()).await,
            cases,
        )
        .await;
    }
}

async fn serve_behind_layer(backend: Backend, layer: TraceLayer, router: Router) -> Server {
    let telemetry = TestTelemetry::new();
    let address = backend.serve(&telemetry, layer, router).await;
    Server::running_at(backend, telemetry, address)
}

async fn check(server: &Server, cases: &[(&str, &str, Option<&str>)]) {
    for (request, name, route) in cases {
        let span = server.span_of(&format!("{request} HTTP/1.1")).await;
        assert_eq!(span.name, *name, "{request}");
        assert_span_attributes(&span, &[route_row(*route)]);
    }
}

// ---- Routers ----------------------------------------------------------------------------------

#[tokio::test]
async fn a_nested_route_is_recorded_in_full() {
    check_layer_on_routes(
        || {
            let users = Router::new().route("/{id}", get(ok));
            let api = Router::new().nest("/users", users);
            Router::new().nest("/api/{tenant}", api)
        },
        &[
            (
                "GET /api/a/users/7",
                "GET /api/{tenant}/users/{id}",
                Some("/api/{tenant}/users/{id}"),
            ),
            ("GET /api/a/nobody/7", "GET", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_layer_inside_a_nested_router_records_the_original_path() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let users = Router::new().route("/users/{id}", get(ok));
        let users = backend.layer_router(&telemetry, TraceLayer::server(), users);
        let router = Router::new().nest("/api/{tenant}", users);
        let server = Server::serve_router(backend, telemetry, router).await;
        let span = server.span_of("GET /api/a/users/7?page=2 HTTP/1.1").await;
        assert_span_attributes(
            &span,
            &[
                ("http.route", Str("/api/{tenant}/users/{id}")),
                ("url.path", Str("/api/a/users/7")),
                ("url.query", Str("page=2")),
            ],
        );
    }
}

#[tokio::test]
async fn merged_routers_keep_their_routes() {
    check_layer_on_routes(
        || {
            let users = Router::new().route("/users/{id}", get(ok));
            let orders = Router::new().route("/orders/{*rest}", get(ok));
            users.merge(orders)
        },
        &[
            ("GET /users/7", "GET /users/{id}", Some("/users/{id}")),
            (
                "GET /orders/7/lines",
                "GET /orders/{*rest}",
                Some("/orders/{*rest}"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_route_layer_supplies_the_route_of_a_nested_service() {
    // The inner router knows only a part of the route.
    check_layer_on_routes(
        || {
            let users = Router::new()
                .route("/users/{id}", get(ok))
                .layer(RouteLayer::new());
            Router::new().nest_service("/api", users)
        },
        &[
            (
                "GET /api/users/7",
                "GET /api/users/{id}",
                Some("/api/users/{id}"),
            ),
            ("GET /api/nobody/7", "GET", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_nested_service_without_a_route_layer_has_a_span_without_a_route() {
    check_layer_on_routes(
        || {
            let users = Router::new().route("/users/{id}", get(ok));
            Router::new().nest_service("/api", users)
        },
        &[("GET /api/users/7", "GET", None)],
    )
    .await;
}

#[tokio::test]
async fn a_fallback_has_a_span_without_a_route() {
    check_layer_on_routes(
        || {
            Router::new()
                .route("/users/{id}", get(ok))
                .fallback(|| async { (StatusCode::NOT_FOUND, "nothing") })
        },
        &[
            ("GET /nobody/7", "GET", None),
            ("PURGE /nobody/7", "HTTP", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_response_method_not_allowed_has_the_matched_route() {
    for backend in Backend::ALL {
        let router = Router::new().route("/users/{id}", get(ok));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let span = server.span_of("DELETE /users/7 HTTP/1.1").await;
        assert_eq!(span.name, "DELETE /users/{id}");
        assert_eq!(span.status, Status::Unset);
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Int(405)),
                ("http.route", Str("/users/{id}")),
                ("error.type", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn a_layer_around_the_router_gets_the_route_from_a_route_layer() {
    check_layer_around_router(
        || {
            let users = Router::new().route("/{id}", any(ok));
            Router::new().nest("/users", users).layer(RouteLayer::new())
        },
        &[
            ("GET /users/7", "GET /users/{id}", Some("/users/{id}")),
            ("PURGE /users/7", "HTTP /users/{id}", Some("/users/{id}")),
            ("GET /nobody", "GET", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_layer_around_the_router_records_no_route_without_a_route_layer() {
    check_layer_around_router(
        || Router::new().route("/users/{id}", get(ok)),
        &[("GET /users/7", "GET", None)],
    )
    .await;
}

#[tokio::test]
async fn a_route_function_supplies_the_route_of_another_router() {
    // A router by path, without axum.
    async fn served(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, BoxError> {
        let found = request.uri().path().starts_with("/users/");
        let mut response = Response::new(Full::default());
        if !found {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok(response)
    }
    let route = |request: &dyn RequestHead| {
        let path = request.target().path;
        path.starts_with("/users/")
            .then(|| Route::from("/users/:id"))
    };
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let layer = TraceLayer::server().route(route);
        let address = backend.serve(&telemetry, layer, service_fn(served)).await;
        let server = Server::running_at(backend, telemetry, address);
        check(
            &server,
            &[
                ("GET /users/7", "GET /users/:id", Some("/users/:id")),
                ("GET /nobody", "GET", None),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn the_route_extension_of_the_request_supplies_the_route() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let service = ServiceBuilder::new()
            .map_request(|mut request: Request<Incoming>| {
                request.extensions_mut().insert(Route::from("/users/:id"));
                request
            })
            .map_response(IntoResponse::into_response)
            .layer(backend.layer(telemetry.source(), TraceLayer::server()))
            .service(Router::new().fallback(ok));
        let address = suite_tests::net::serve(service).await;
        let server = Server::running_at(backend, telemetry, address);
        check(
            &server,
            &[("GET /users/7", "GET /users/:id", Some("/users/:id"))],
        )
        .await;
    }
}

// ---- Handlers ---------------------------------------------------------------------------------

#[tokio::test]
async fn a_handler_sets_the_route_through_the_route_slot() {
    check_layer_on_routes(
        || {
            Router::new().fallback(|Extension(slot): Extension<RouteSlot>| async move {
                slot.set("/pages/{slug}");
            })
        },
        &[(
            "GET /pages/about",
            "GET /pages/{slug}",
            Some("/pages/{slug}"),
        )],
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

// ---- Remote parents ---------------------------------------------------------------------------

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Sends a request with a parent. Returns its span and the `traceparent` of outgoing requests.
async fn send_with_parent(server: &Server, who: &str, flags: &str) -> (SpanData, String) {
    let request = format!(
        "GET /context HTTP/1.1\nX-Who: {who}\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\ntracestate: a=b"
    );
    let (head, _open) = send_raw(server.address, &request).await;
    let sent = traceparent(&head)
        .expect("a traceparent is sent")
        .to_owned();
    (server.next_span().await, sent)
}

fn by_who(request: &dyn RequestHead) -> RemoteParent {
    match request.headers().get("x-who").map(|who| who.as_bytes()) {
        Some(b"friend") => RemoteParent::Continue,
        Some(b"stranger") => RemoteParent::Link,
        _ => RemoteParent::Ignore,
    }
}

#[tokio::test]
async fn the_remote_parent_is_continued_linked_or_ignored_per_request() {
    let remote_trace = TraceId::from_hex(TRACE).unwrap();
    let remote_span = SpanId::from_hex(PARENT).unwrap();
    for backend in Backend::ALL {
        let layer = TraceLayer::server().remote_parent(by_who);
        let router = Router::new().route("/context", any(context));
        let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
        for flags in ["01", "00"] {
            let own = |span: &SpanData| {
                let context = &span.span_context;
                format!("00-{}-{}-01", context.trace_id(), context.span_id())
            };

            let (span, sent) = send_with_parent(&server, "friend", flags).await;
            assert_eq!(span.span_context.trace_id(), remote_trace);
            assert_eq!(span.parent_span_id, remote_span);
            assert!(span.links.links.is_empty());
            assert_eq!(sent, own(&span));

            let (span, sent) = send_with_parent(&server, "stranger", flags).await;
            assert_ne!(span.span_context.trace_id(), remote_trace);
            assert_eq!(span.parent_span_id, SpanId::INVALID);
            assert!(span.span_context.trace_state().header().is_empty());
            let [link] = span.links.links.as_slice() else {
                panic!("one link, not {:#?}", span.links);
            };
            assert_eq!(link.span_context.trace_id(), remote_trace);
            assert_eq!(link.span_context.span_id(), remote_span);
            assert_eq!(sent, own(&span));

            let (span, sent) = send_with_parent(&server, "nobody", flags).await;
            assert_ne!(span.span_context.trace_id(), remote_trace);
            assert_eq!(span.parent_span_id, SpanId::INVALID);
            assert!(span.links.links.is_empty());
            assert_eq!(sent, own(&span));
        }
    }
}

/// Serves `/context`, with a sampler that follows the parent, and uses `root` without a parent.
async fn serve_sampled(backend: Backend, root: Sampler, layer: TraceLayer) -> Server {
    let sampler = Sampler::ParentBased(Box::new(root));
    let telemetry = TestTelemetry::with_sampler_and_filter(sampler, LevelFilter::INFO);
    let router = Router::new().route("/context", any(context));
    Server::with_router(backend, telemetry, layer, router).await
}

/// Sends a request with a parent, and returns whether its span is sampled.
async fn is_sampled(server: &Server, flags: &str) -> bool {
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-{flags}");
    let head = server
        .send(&format!("GET /context HTTP/1.1\n{parent}"))
        .await;
    traceparent(&head).unwrap().ends_with("-01")
}

#[tokio::test]
async fn a_stranger_cannot_switch_recording_if_its_trace_is_linked_or_ignored() {
    for backend in Backend::ALL {
        for (root, is_recorded) in [(Sampler::AlwaysOn, true), (Sampler::AlwaysOff, false)] {
            for (remote_parent, follows) in [
                (RemoteParent::Continue, true),
                (RemoteParent::Link, false),
                (RemoteParent::Ignore, false),
            ] {
                let layer = TraceLayer::server().remote_parent(move |_| remote_parent);
                let server = serve_sampled(backend, root.clone(), layer).await;
                for (flags, is_sampled_by_caller) in [("00", false), ("01", true)] {
                    let expected = if follows {
                        is_sampled_by_caller
                    } else {
                        is_recorded
                    };
                    let sampled = is_sampled(&server, flags).await;
                    assert_eq!(sampled, expected, "{backend:?} {remote_parent:?} {flags}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_route_of_a_server_is_not_the_template_of_a_request_that_it_forwards() {
    use suite_tests::client::hyper_client_to;

    for backend in Backend::ALL {
        for own in [None, Some("/own/{id}")] {
            let telemetry = TestTelemetry::new();
            let remote = suite_tests::net::serve(suite_tests::server::app()).await;
            let layer = backend.layer(telemetry.source(), TraceLayer::client());
            // A proxy that also forwards the extensions of the received request.
            let forward = move |received: axum::extract::Request| {
                let layer = layer.clone();
                async move {
                    let (mut parts, _) = received.into_parts();
                    parts.uri = "http://api.example/users/7".parse().unwrap();
                    if let Some(own) = own {
                        parts.extensions.insert(Route::from(own));
                    }
                    let outgoing = Request::from_parts(parts, Empty::new());
                    let client = layer.layer(hyper_client_to(Http::One, remote));
                    client.oneshot(outgoing).await.unwrap().status()
                }
            };
            let router = Router::new()
                .fallback(forward)
                .layer(backend.layer(telemetry.source(), TraceLayer::server()))
                .layer(MapRequestLayer::new(
                    |mut request: axum::extract::Request| {
                        request
                            .extensions_mut()
                            .insert(Route::from("/received/{id}"));
                        request
                    },
                ));
            let server = Server::serve_router(backend, telemetry, router).await;
            let (_, _open) = send_raw(server.address, "GET /x HTTP/1.1\nHost: front.example").await;
            server
                .telemetry
                .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
                .await;
            let spans = server.telemetry.spans();
            let [client, front] = spans.as_slice() else {
                panic!("two spans, not {spans:#?}");
            };
            assert_span_attributes(front, &[("http.route", Str("/received/{id}"))]);
            assert_span_attributes(client, &[("url.template", own.map_or(Absent, Str))]);
        }
    }
}

#[tokio::test]
async fn baggage_is_read_only_if_the_remote_parent_is_continued() {
    async fn tenant_header() -> [(&'static str, String); 1] {
        let tenant = Context::map_current(|current| current.baggage().get("tenant").cloned());
        [("x-tenant", tenant.map_or_else(String::new, Into::into))]
    }
    for backend in Backend::ALL {
        let layer = TraceLayer::server()
            .remote_parent(by_who)
            .propagator(Propagation::w3c().read_baggage());
        let router = Router::new().route("/", any(tenant_header));
        let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
        for (who, known) in [("friend", "7"), ("stranger", ""), ("nobody", "")] {
            let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01");
            let request = format!("GET / HTTP/1.1\nX-Who: {who}\nbaggage: tenant=7\n{parent}");
            let head = server.send(&request).await;
            let tenant = head.lines().find_map(|line| line.strip_prefix("x-tenant:"));
            assert_eq!(tenant.map(str::trim), Some(known), "{who}");
            server.next_span().await;
        }
    }
}

#[tokio::test]
async fn an_ignored_parent_is_ignored_inside_another_span_too() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let layer = |layer| backend.layer(telemetry.source(), layer);
        let router = Router::new()
            .route("/context", any(context))
            .layer(layer(TraceLayer::server().remote_parent(by_who)))
            .layer(layer(TraceLayer::server()));
        let server = Server::serve_router(backend, telemetry, router).await;
        let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01");
        let request = format!("GET /context HTTP/1.1\n{parent}");
        let (head, _open) = send_raw(server.address, &request).await;
        server
            .telemetry
            .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
            .await;
        let spans = server.telemetry.spans();
        let [inner, outer] = spans.as_slice() else {
            panic!("two spans, not {spans:#?}");
        };
        assert_eq!(outer.parent_span_id, SpanId::from_hex(PARENT).unwrap());
        assert_eq!(inner.parent_span_id, SpanId::INVALID);
        let (inner, outer) = (&inner.span_context, &outer.span_context);
        assert_ne!(inner.trace_id(), outer.trace_id());
        let own = format!("00-{}-{}-01", inner.trace_id(), inner.span_id());
        assert_eq!(traceparent(&head), Some(own.as_str()));
    }
}

#[tokio::test]
async fn a_malformed_traceparent_is_neither_continued_nor_linked() {
    for backend in Backend::ALL {
        for remote_parent in [RemoteParent::Continue, RemoteParent::Link] {
            let layer = TraceLayer::server().remote_parent(move |_| remote_parent);
            let router = Router::new().route("/", any(ok));
            let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
            for header in [
                format!("traceparent: 00-{TRACE}-{PARENT}"),
                format!("traceparent: ff-{TRACE}-{PARENT}-01"),
                format!("traceparent: 00-{}-{PARENT}-01", TRACE.to_uppercase()),
                format!("traceparent: 00-{:032}-{PARENT}-01", 0),
                format!("traceparent: 00-{TRACE}-{PARENT}-01\ntraceparent: 00-{TRACE}-{PARENT}-01"),
                "tracestate: a=b".to_owned(),
            ] {
                let span = server.span_of(&format!("GET / HTTP/1.1\n{header}")).await;
                assert_eq!(span.parent_span_id, SpanId::INVALID, "{header}");
                assert!(span.links.links.is_empty(), "{header}");
                assert_ne!(
                    span.span_context.trace_id(),
                    TraceId::from_hex(TRACE).unwrap()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_span_in_a_handler_is_a_child_of_the_server_span() {
    use suite_tests::{
        client::{hyper_client_to, request},
        server::app,
    };

    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let remote = suite_tests::net::serve(app()).await;
        let layer = backend.layer(telemetry.source(), TraceLayer::client());
        let router = Router::new().fallback(move || {
            let layer = layer.clone();
            async move {
                let connection = hyper_client_to(Http::One, remote);
                let outgoing = request("GET http://api.example/users/7");
                let client = layer.layer(connection);
                client.oneshot(outgoing).await.unwrap().status()
            }
        });
        let server = Server::with_router(backend, telemetry, TraceLayer::server(), router).await;
        let (_, _open) = send_raw(server.address, "GET / HTTP/1.1\nHost: front.example").await;
        server
            .telemetry
            .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
            .await;
        let spans = server.telemetry.spans();
        let [client, front] = spans.as_slice() else {
            panic!("two spans, not {spans:#?}");
        };
        assert_eq!(client.parent_span_id, front.span_context.span_id());
        assert_eq!(
            client.span_context.trace_id(),
            front.span_context.trace_id()
        );
        // Client and server have different server addresses.
        assert_span_attributes(client, &[("server.address", Str("api.example"))]);
        assert_span_attributes(front, &[("server.address", Str("front.example"))]);
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
            assert_span_attributes(&span, &[route_row(route)]);
        }
    }
}
