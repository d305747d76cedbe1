//! A reqwest client as a tower service: `cargo run -p example-reqwest`.
//!
//! Sends one request to its own server and one to a closed port. Prints their traces and counters.

use axum::{Router, routing::get};
use reqwest::{Method, Request, Url};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_init::{Sampler, Telemetry, TracesExporter};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::builder("shop")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0))
        .pretty_logs(true)
        .install()?;

    // The server span is a child of the client span.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = Url::parse(&format!(
        "http://{}/items/lamp?sig=secret",
        listener.local_addr()?
    ))?;
    let app = Router::new()
        .route("/items/{sku}", get(|| async { "7 left" }))
        .layer(TraceLayer::server());
    tokio::spawn(async { axum::serve(listener, app).await });

    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(reqwest::Client::new());

    let response = client
        .clone()
        .oneshot(Request::new(Method::GET, url))
        .await?;
    println!("{}: {}", response.status(), response.text().await?);

    // The port is closed, because the listener is dropped at the end of the statement.
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let url = Url::parse(&format!("http://{closed}/items/chair"))?;
    if let Err(error) = client.oneshot(Request::new(Method::GET, url)).await {
        println!("{error}");
    }

    let prometheus = telemetry.prometheus().ok_or("METRICS_ENABLED is false")?;
    for line in prometheus
        .render()
        .lines()
        .filter(|line| line.contains("_total{"))
    {
        println!("{line}");
    }
    Ok(())
}
