//! An axum server: `cargo run -p example-axum [ADDRESS]`. Ctrl-C stops it.
//!
//! Prints the spans of each request as a tree and serves `/metrics` to Prometheus. The default
//! address is 127.0.0.1:3000.

use std::{env, net::SocketAddr, time::Duration};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tokio::{net::TcpListener, time::sleep};
use tower::ServiceBuilder;
use tower_otel_init::{Sampler, Telemetry, TracesExporter, shutdown_signal};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// Runs in a child span of the request.
#[tracing::instrument]
async fn find_user(id: u64) -> Option<&'static str> {
    sleep(Duration::from_millis(3)).await;
    ["Ada", "Grace"].get(usize::try_from(id).ok()?).copied()
}

async fn get_user(Path(id): Path<u64>) -> Result<String, StatusCode> {
    let Some(name) = find_user(id).await else {
        tracing::warn!(id, "user not found"); // a log line with the trace id
        return Err(StatusCode::NOT_FOUND);
    };
    Ok(format!("{name}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Prints every trace. In production, this line sends spans to a collector:
    // Telemetry::from_env("users")?
    let telemetry = Telemetry::builder("users")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0))
        .pretty_logs(true)
        .install()?;
    let prometheus = telemetry.prometheus().ok_or("METRICS_ENABLED is false")?;

    let app = Router::new()
        .route("/users/{id}", get(get_user))
        .layer(
            ServiceBuilder::new()
                .layer(TraceLayer::server())
                .layer(MetricsLayer::server()),
        )
        .route_service("/metrics", prometheus.service());

    let address = env::args().nth(1).unwrap_or("127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    println!("curl http://{address}/users/1     a user");
    println!("curl http://{address}/users/7     404 and a log line");
    println!("curl http://{address}/metrics     the metrics");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
