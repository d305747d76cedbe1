//! Prints the traces of two services to the standard output: `cargo run -p tower-otel-init --example console`.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use tokio::time::sleep;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_init::{
    MetricsExporter, PropagateLayer, Sampler, Telemetry, TraceLayer, TracesExporter,
};
use tracing::Instrument;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Returns the stock of an item. Runs in the second service.
async fn stock(Path(sku): Path<String>) -> Result<String, StatusCode> {
    let shelf = tracing::info_span!("read shelf", sku);
    sleep(Duration::from_millis(6)).instrument(shelf).await;
    if sku == "lamp" {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok("7".to_owned())
}

async fn offer(State(stock): State<Router>, Path(sku): Path<String>) -> Result<String, StatusCode> {
    let price = tracing::info_span!("price lookup", sku);
    sleep(Duration::from_millis(3)).instrument(price).await;
    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(PropagateLayer::new())
        .service(stock);
    let request = Request::get(format!("http://stock:8080/items/{sku}"))
        .body(Body::empty())
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    let response = client.oneshot(request).await;
    let response = response.map_err(|_| StatusCode::BAD_GATEWAY)?;
    if !response.status().is_success() {
        tracing::warn!(sku, "stock service failed");
        return Err(StatusCode::BAD_GATEWAY);
    }
    let left = to_bytes(Body::new(response.into_body()), 100).await;
    let left = left.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(format!("{} left\n", String::from_utf8_lossy(&left)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let _telemetry = Telemetry::builder("shop")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .pretty_logs(true)
        .install()?;
    let stock = Router::new()
        .route("/items/{sku}", get(stock))
        .layer(TraceLayer::server());
    let shop = Router::new()
        .route("/offers/{sku}", get(offer))
        .layer(TraceLayer::server())
        .with_state(stock);
    for sku in ["chair", "lamp"] {
        let request = Request::get(format!("/offers/{sku}")).body(Body::empty())?;
        let response = shop.clone().oneshot(request).await?;
        to_bytes(response.into_body(), 100).await?;
    }
    Ok(())
}
