//! Receives spans over OTLP/gRPC at `OTLP_ADDR`, and serves Jaeger's page and its API at `PAGE_ADDR`.

use std::{env, error::Error, net::SocketAddr};

use otlp_embedded::{Config, State, TraceServiceImpl, TraceServiceServer, ui_app};
use tokio::net::TcpListener;
use tonic::transport::Server;

/// The store drops the oldest traces beyond these limits.
const LIMITS: Config = Config {
    max_length: 1000,
    max_memory_usage: 64 << 20,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let traces = State::new(LIMITS);
    let page = TcpListener::bind(address("PAGE_ADDR")?).await?;
    let receiver = TraceServiceServer::new(TraceServiceImpl::new(traces.clone()));
    let receiver = Server::builder().add_service(receiver);
    tokio::select! {
        result = axum::serve(page, ui_app(traces, "/")) => result?,
        result = receiver.serve(address("OTLP_ADDR")?) => result?,
    }
    Ok(())
}

fn address(variable: &str) -> Result<SocketAddr, String> {
    let value = env::var(variable).map_err(|error| format!("{variable}: {error}"))?;
    let expected = |_| format!("{variable}: \"{value}\" is not an address (expected IP:PORT)");
    value.parse().map_err(expected)
}
