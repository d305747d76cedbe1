//! Routes from routers.

use axum::{
    Router,
    response::IntoResponse,
    routing::{any, get},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use opentelemetry::trace::Status;
use suite_tests::{
    backend::Backend,
    net::BoxError,
    server::Server,
    table::{Absent, Int, Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tower::{ServiceBuilder, service_fn};
use tower_otel_core::{RequestHead, Route, RouteLayer};
use tower_otel_trace::TraceLayer;

use crate::{check, check_layer_around_router, check_layer_on_routes, ok};

/// A router with one route.
fn users() -> Router {
    Router::new().route("/users/{id}", any(ok))
}

#[tokio::test]
async fn a_nested_route_is_recorded_in_full() {
    check_layer_on_routes(
        || {
            let users = Router::new().route("/{id}", get(ok));
            let api = Router::new().nest("/users", users);
            Router::new().nest("/api/{tenant}", api)
        },
        "
        GET /api/a/users/7  => GET /api/{tenant}/users/{id} | http.route=/api/{tenant}/users/{id}
        GET /api/a/nobody/7 => GET | http.route=-
        ",
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
        || users().merge(Router::new().route("/orders/{*rest}", get(ok))),
        "
        GET /users/7        => GET /users/{id} | http.route=/users/{id}
        GET /orders/7/lines => GET /orders/{*rest} | http.route=/orders/{*rest}
        ",
    )
    .await;
}

/// The inner router knows only its part of the route.
#[tokio::test]
async fn a_route_layer_supplies_the_route_of_a_nested_service() {
    check_layer_on_routes(
        || Router::new().nest_service("/api", users().layer(RouteLayer::new())),
        "
        GET /api/users/7  => GET /api/users/{id} | http.route=/api/users/{id}
        GET /api/nobody/7 => GET | http.route=-
        ",
    )
    .await;
}

#[tokio::test]
async fn a_nested_service_without_a_route_layer_has_a_span_without_a_route() {
    check_layer_on_routes(
        || Router::new().nest_service("/api", users()),
        "GET /api/users/7 => GET | http.route=-",
    )
    .await;
}

#[tokio::test]
async fn a_fallback_has_a_span_without_a_route() {
    check_layer_on_routes(
        || users().fallback(|| async { (StatusCode::NOT_FOUND, "nothing") }),
        "
        GET /nobody/7   => GET | http.route=-
        PURGE /nobody/7 => HTTP | http.route=-
        ",
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
        "
        GET /users/7   => GET /users/{id} | http.route=/users/{id}
        PURGE /users/7 => HTTP /users/{id} | http.route=/users/{id}
        GET /nobody    => GET | http.route=-
        ",
    )
    .await;
}

#[tokio::test]
async fn a_layer_around_the_router_records_no_route_without_a_route_layer() {
    check_layer_around_router(users, "GET /users/7 => GET | http.route=-").await;
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
        check(
            &Server::running_at(backend, telemetry, address),
            "
            GET /users/7 => GET /users/:id | http.route=/users/:id
            GET /nobody  => GET | http.route=-
            ",
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
        check(
            &Server::running_at(backend, telemetry, address),
            "GET /users/7 => GET /users/:id | http.route=/users/:id",
        )
        .await;
    }
}
