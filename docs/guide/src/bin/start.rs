//! A server with spans, metrics and log lines: `cargo run -p guide --bin start [ADDRESS]`.

use axum::{Router, extract::Path, routing::get};
use tokio::net::TcpListener;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};

async fn user(Path(id): Path<u64>) -> String {
    tracing::info!(id, "user requested");
    format!("user {id}\n")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env("users")?;
    let mut app = Router::new()
        .route("/users/{id}", get(user))
        .layer(observe((TraceLayer::server(), MetricsLayer::server())));
    if let Some(prometheus) = telemetry.prometheus() {
        app = app.route_service("/metrics", prometheus.service());
    }

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(()) // Dropping `telemetry` exports the remaining spans.
}
