//! The control service, which reads and changes telemetry settings while a process runs. It has no authentication, so it has a
//! separate loopback address.

use std::{future::Future, net::SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tower_otel_init::Telemetry;

use crate::BoxError;

/// Runs a service, and serves its control service until the service ends.
pub(crate) async fn run_with_control(
    address: SocketAddr,
    telemetry: &Telemetry,
    service: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .map_err(|error| format!("CONTROL_ADDR: cannot listen on \"{address}\": {error}"))?;
    tracing::info!(address = %listener.local_addr()?, "control of telemetry");
    let control = Router::new().fallback_service(telemetry.control_service());
    tokio::select! {
        result = service => result,
        result = axum::serve(listener, control) => Ok(result?),
    }
}
