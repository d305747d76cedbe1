//! A tonic gRPC server and client: `cargo run -p example-tonic`.
//!
//! Calls its own health service: one call succeeds, one fails, and the client cancels a stream.
//! Prints their traces.

use std::error::Error;

use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server, Uri};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_otel_init::{Sampler, Telemetry, TracesExporter};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

async fn serve(
    listener: TcpListener,
    shutdown: oneshot::Receiver<()>,
) -> Result<(), tonic::transport::Error> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(TraceLayer::server().grpc())
        .layer(MetricsLayer::server().grpc())
        .add_service(health)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
            let _ = shutdown.await;
        })
        .await
}

fn main() -> Result<(), Box<dyn Error>> {
    let _telemetry = Telemetry::builder("health")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0))
        .pretty_logs(true)
        .install()?;
    // The runtime is dropped before telemetry, so that running tasks end their spans first.
    Runtime::new()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri: Uri = format!("http://{}", listener.local_addr()?).parse()?;
    let (stop, shutdown) = oneshot::channel();
    let server = tokio::spawn(serve(listener, shutdown));

    let service = ServiceBuilder::new()
        .layer(TraceLayer::client().grpc())
        .layer(MetricsLayer::client().grpc())
        .layer(PropagateLayer::new())
        .service(Endpoint::from(uri.clone()).connect_lazy());
    // `server.address` is read from the origin.
    let mut client = HealthClient::with_origin(service, uri);
    let request = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };

    println!("{:?}", client.check(request("")).await?.into_inner());
    if let Err(status) = client.check(request("unknown.Service")).await {
        println!("{:?}: {}", status.code(), status.message());
    }
    let mut watch = client.watch(request("")).await?.into_inner();
    println!("{:?}", watch.message().await?);
    drop(watch); // CANCELLED on both sides, an error of the client only

    drop((client, stop));
    Ok(server.await??)
}
