//! A server on axum. `cargo run -p example-axum`, then ask it what it says, and stop it by Ctrl-C.
//!
//! Every request is printed as a tree of spans; `/metrics` is for Prometheus. Another address than
//! 127.0.0.1:3000 is given as an argument.

use std::{env, net::SocketAddr, time::Duration};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tokio::{net::TcpListener, time::sleep};
use tower::ServiceBuilder;
use tower_otel_init::{LogFormat, Sampler, Telemetry, TracesExporter, shutdown_signal};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// A span below that of the request.
#[tracing::instrument]
async fn find(id: u64) -> Option<&'static str> {
    sleep(Duration::from_millis(3)).await;
    ["Ada", "Grace"].get(usize::try_from(id).ok()?).copied()
}

async fn user(Path(id): Path<u64>) -> Result<String, StatusCode> {
    let Some(name) = find(id).await else {
        tracing::warn!(id, "nobody has this number"); // a log line, with the id of the trace
        return Err(StatusCode::NOT_FOUND);
    };
    Ok(format!("{name}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Printed here and sampled always, to be seen. In production that is one line, which sends
    // spans to a collector: Telemetry::from_env("users")?
    let telemetry = Telemetry::builder("users")
        .traces(TracesExporter::Console)
        .sampler(Sampler::AlwaysOn)
        .log_format(LogFormat::Pretty)
        .install()?;
    let prometheus = telemetry.prometheus().ok_or("METRICS_ENABLED is false")?;

    let app = Router::new()
        .route("/users/{id}", get(user))
        .layer(
            ServiceBuilder::new()
                .layer(TraceLayer::server())
                .layer(MetricsLayer::server()),
        )
        .route_service("/metrics", prometheus.service());

    let address = env::args().nth(1).unwrap_or("127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    println!("curl http://{address}/users/1     a name");
    println!("curl http://{address}/users/7     nobody");
    println!("curl http://{address}/metrics     what Prometheus reads");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
