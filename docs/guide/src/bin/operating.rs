//! Operational routes on an address of their own: `cargo run -p guide --bin operating [ADDRESS] [ADDRESS]`.

use std::{future::IntoFuture, net::SocketAddr};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};

/// `/healthz`, `/metrics`, `/page/`, and the control service for all other paths.
fn operational(telemetry: &Telemetry) -> Router {
    let mut router = Router::new().route("/healthz", get(|| async { "ok\n" }));
    if let Some(prometheus) = telemetry.prometheus() {
        router = router.route_service("/metrics", prometheus.service());
    }
    // With TELEMETRY_PAGE=service.
    if let Some(page) = telemetry.page_service() {
        router = router.nest_service("/page/", page);
    }
    router.fallback_service(telemetry.control_service())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env("users")?;
    let app = Router::new()
        .route("/users/{id}", get(|| async { "hello\n" }))
        .layer(observe((TraceLayer::server(), MetricsLayer::server())));

    // The control service has no authentication: a loopback address.
    let address = std::env::args().nth(2);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9901")).await?;
    println!("operating on http://{}", listener.local_addr()?);
    // The page answers only clients on this machine, so it needs their addresses.
    let operational = operational(&telemetry).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, operational).into_future());

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
