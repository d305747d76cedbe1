//! A retrying client: `cargo run -p example-reqwest-middleware`.
//!
//! The server fails twice and then succeeds. Prints one trace, with a client span and a server span
//! for each attempt.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tokio::net::TcpListener;
use tower_otel_core::observe;
use tower_otel_init::{MetricsExporter, Sampler, Telemetry, TracesExporter};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing::Instrument;

async fn get_item() -> (StatusCode, &'static str) {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    match REQUESTS.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        _ => (StatusCode::OK, "7 left"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::builder("shop")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .pretty_logs(true)
        .install()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/items/lamp", listener.local_addr()?);
    let app = Router::new()
        .route("/items/{sku}", get(get_item))
        .layer(TraceLayer::server());
    tokio::spawn(async { axum::serve(listener, app).await });

    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(10), Duration::from_millis(50))
        .build_with_max_retries(3);
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy))
        // Added after the retry middleware, so that it observes each attempt.
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();

    let order = tracing::info_span!("order", sku = "lamp");
    let response = client.get(url).send().instrument(order).await?;
    println!("{}: {}", response.status(), response.text().await?);
    Ok(())
}
