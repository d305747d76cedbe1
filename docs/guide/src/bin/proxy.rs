//! A server behind a proxy: `cargo run -p guide --bin proxy [ADDRESS]`.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower_otel_init::{
    HttpOptions, MetricsLayer, RemoteParent, Telemetry, TraceLayer, TrustedProxies, observe,
    shutdown_signal,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::from_env("users")?;
    // The addresses of your proxies. Headers that other peers send are ignored.
    let proxies = TrustedProxies::cidrs(["127.0.0.0/8", "10.0.0.0/8"])?;
    let options = HttpOptions::default().trusted_proxies(proxies);
    let trace = TraceLayer::server()
        .http_options(&options)
        // Clients do not decide what is sampled: their trace becomes a link.
        .remote_parent(|_| RemoteParent::Link);
    let metrics = MetricsLayer::server().http_options(&options);
    let app = Router::new()
        .route("/users/{id}", get(|| async { "hello\n" }))
        .layer(observe((trace, metrics)));

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // With the address of the peer, without which no proxy is trusted.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
