//! RED metrics, labels and metrics of the application: `cargo run -p guide --bin red_metrics [ADDRESS]`.

use axum::{
    Extension, Router,
    http::StatusCode,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tower_otel_init::{Filter, MetricsLayer, Prometheus, Telemetry, shutdown_signal};

/// The label `cache` of a response.
#[derive(Clone)]
struct Cache(&'static str);

async fn search() -> (Extension<Cache>, &'static str) {
    (Extension(Cache("hit")), "lamp\n")
}

async fn order() -> StatusCode {
    metrics::counter!("orders_total", "payment" => "card").increment(1);
    metrics::histogram!("order_items").record(3.0);
    StatusCode::CREATED
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let objective = ("path", "/search");
    let recorder = Prometheus::builder()
        // The objective of one route: 300 ms.
        .series_buckets("http_request_duration_seconds", objective, [0.3])
        .buckets("order_items", [1.0, 2.0, 5.0, 10.0]);
    let telemetry = Telemetry::builder("shop").prometheus(recorder).install()?;
    metrics::describe_counter!("orders_total", "Orders, by means of payment.");

    let layer = MetricsLayer::server()
        .filter(Filter::skip_paths(["/healthz"]))
        .response_label("cache", |response| {
            let cache: Option<&Cache> = response.extensions().get();
            cache.map(|Cache(outcome)| (*outcome).into())
        });
    let mut app = Router::new()
        .route("/search", get(search))
        .route("/orders", post(order))
        .route("/healthz", get(|| async { "ok" }))
        .layer(layer);
    if let Some(prometheus) = telemetry.prometheus() {
        app = app.route_service("/metrics", prometheus.service());
    }

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
