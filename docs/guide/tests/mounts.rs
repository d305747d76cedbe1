//! The routes of services that are mounted in different ways: the table of the page about downloads.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
    routing::get,
};
use tower::ServiceExt;
use tower_http::services::ServeDir;
use tower_otel_init::{HttpOptions, MetricsLayer, RouteLayer, TraceLayer, observe};
use tower_otel_test::TestTelemetry;

/// Asserts the label `path` and the attribute `http.route` of a request.
async fn assert_route(router: Router, options: HttpOptions, path: &str, expected: Option<&str>) {
    let telemetry = TestTelemetry::new();
    let _installed = telemetry.install();
    let trace = TraceLayer::server().http_options(&options);
    let metrics = MetricsLayer::server().http_options(&options);
    let app = router.layer(observe((trace, metrics)));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    to_bytes(response.into_body(), 1_000_000).await.unwrap();

    let spans = telemetry.spans();
    let route = spans[0]
        .attribute("http.route")
        .map(|route| route.as_str().into_owned());
    assert_eq!(route.as_deref(), expected, "{path}");
    let metrics = telemetry.metrics();
    let label = [("path", expected.unwrap_or("unmatched"))];
    assert_eq!(
        metrics.counter("http_requests_total", &label),
        Some(1.0),
        "{metrics}"
    );
}

fn folder() -> ServeDir {
    ServeDir::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn the_way_of_mounting_a_service_decides_its_route() {
    let router = Router::new().nest("/files", Router::new().route_service("/{*file}", folder()));
    let options = HttpOptions::default();
    assert_route(
        router,
        options.clone(),
        "/files/start.md",
        Some("/files/{*file}"),
    )
    .await;

    let router = Router::new().nest_service("/files", folder());
    assert_route(router.clone(), options.clone(), "/files/start.md", None).await;

    let named = HttpOptions::default().route(|request| {
        let is_file = request.target().path.starts_with("/files/");
        is_file.then(|| "/files/{*file}".into())
    });
    assert_route(router, named, "/files/start.md", Some("/files/{*file}")).await;

    let users = Router::new().route("/users/{id}", get(|| async { "hello" }));
    let router = Router::new().nest_service("/api", users.layer(RouteLayer::new()));
    assert_route(
        router,
        options.clone(),
        "/api/users/7",
        Some("/api/users/{id}"),
    )
    .await;

    let router = Router::new().fallback_service(folder());
    assert_route(router, options, "/start.md", None).await;
}
