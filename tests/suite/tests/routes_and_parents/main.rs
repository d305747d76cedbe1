//! Routes from routers and handlers, changes to the span by handlers, and remote parents.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod clients;
mod handlers;
mod parents;
mod routers;

use axum::Router;
use suite_tests::{
    backend::Backend,
    server::Server,
    table::{assert_span_attributes, lines, rows},
    telemetry::TestTelemetry,
};
use tower_otel_trace::TraceLayer;

/// A parent that requests name.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

async fn ok() -> &'static str {
    "ok"
}

/// Checks span names and attributes with the layer on the routes of a router.
async fn check_layer_on_routes(router: fn() -> Router, cases: &str) {
    for backend in Backend::ALL {
        let server = serve(backend, TraceLayer::server(), router()).await;
        check(&server, cases).await;
    }
}

/// Checks span names and attributes with the layer around a router.
async fn check_layer_around_router(router: fn() -> Router, cases: &str) {
    for backend in Backend::ALL {
        let server = serve_behind_layer(backend, TraceLayer::server(), router()).await;
        check(&server, cases).await;
    }
}

/// Serves a router with the layer on its routes.
async fn serve(backend: Backend, layer: TraceLayer, router: Router) -> Server {
    Server::with_router(backend, TestTelemetry::new(), layer, router).await
}

/// Serves a router with the layer around it.
async fn serve_behind_layer(backend: Backend, layer: TraceLayer, router: Router) -> Server {
    let telemetry = TestTelemetry::new();
    let address = backend.serve(&telemetry, layer, router).await;
    Server::running_at(backend, telemetry, address)
}

/// Sends the request of each line, and checks the name and the attributes of its span.
async fn check(server: &Server, cases: &str) {
    for (request, expected) in lines(cases) {
        let (name, attributes) = expected.split_once(" | ").unwrap();
        let span = server.span_of(&format!("{request} HTTP/1.1")).await;
        assert_eq!(span.name, name, "{request}");
        assert_span_attributes(&span, &rows(attributes));
    }
}
