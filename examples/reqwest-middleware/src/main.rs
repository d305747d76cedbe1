//! A client that retries: `cargo run -p example-reqwest-middleware`.
//!
//! The server answers the third time it is asked. One trace is printed, with a span for every attempt
//! at the client and at the server.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tokio::net::TcpListener;
use tower_otel_core::observe;
use tower_otel_init::{LogFormat, MetricsExporter, Sampler, Telemetry, TracesExporter};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing::Instrument;

async fn stock() -> (StatusCode, &'static str) {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    match ASKED.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, "counting"),
        _ => (StatusCode::OK, "7 left"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::builder("shop")
        .traces(TracesExporter::Console)
        .sampler(Sampler::AlwaysOn)
        .metrics(MetricsExporter::None)
        .log_format(LogFormat::Pretty)
        .install()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/items/lamp", listener.local_addr()?);
    let app = Router::new()
        .route("/items/{sku}", get(stock))
        .layer(TraceLayer::server());
    tokio::spawn(async { axum::serve(listener, app).await });

    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(10), Duration::from_millis(50))
        .build_with_max_retries(3);
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy))
        // Behind the one that retries, so that it sees every attempt.
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();

    let order = tracing::info_span!("order", sku = "lamp");
    let response = client.get(url).send().instrument(order).await?;
    println!("{}: {}", response.status(), response.text().await?);
    Ok(())
}
