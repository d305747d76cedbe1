//! Which traces are exported: `cargo run -p guide --bin sampling [ADDRESS]`.

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tower_otel_init::{Sampler, Telemetry, TraceLayer, keep_trace, shutdown_signal};

async fn item(Path(sku): Path<String>) -> Result<&'static str, StatusCode> {
    match sku.as_str() {
        // Exported, because a trace that fails is kept.
        "broken" => Err(StatusCode::INTERNAL_SERVER_ERROR),
        // Exported, because the handler asks for it.
        "rare" => {
            keep_trace();
            Ok("1 left\n")
        }
        _ => Ok("7 left\n"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sampler = Sampler::ratio(0.1)
        .parent_based()
        .rule("GET /healthz", 0.0)
        .rule("/items/{sku}", 0.0)
        .rule("/payments/{id}", 1.0);
    let telemetry = Telemetry::builder("shop").sampler(sampler).install()?;
    // In place of the variable TRACES_KEEP.
    let keep = "errors,slower_than=500ms,per_second=50";
    telemetry.control().set_keep(keep)?;
    println!("{}", telemetry.summary());

    let app = Router::new()
        .route("/items/{sku}", get(item))
        .route("/payments/{id}", get(|| async { "paid\n" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(TraceLayer::server());

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
