//! A gRPC server and a client on tonic: `cargo run -p example-tonic`.
//!
//! It calls its own health service: a call that goes well, one that does not, and a stream that the
//! client leaves. Their traces are printed.

use std::error::Error;

use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server, Uri};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_otel_init::{LogFormat, Sampler, Telemetry, TracesExporter};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

async fn serve(
    listener: TcpListener,
    stop: oneshot::Receiver<()>,
) -> Result<(), tonic::transport::Error> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(TraceLayer::server().grpc())
        .layer(MetricsLayer::server())
        .add_service(health)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
            let _ = stop.await;
        })
        .await
}

fn main() -> Result<(), Box<dyn Error>> {
    let _telemetry = Telemetry::builder("health")
        .traces(TracesExporter::Console)
        .sampler(Sampler::AlwaysOn)
        .log_format(LogFormat::Pretty)
        .install()?;
    // The runtime goes before the telemetry, and with it the task of a stream that was left.
    Runtime::new()?.block_on(story())
}

async fn story() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri: Uri = format!("http://{}", listener.local_addr()?).parse()?;
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, stopped));

    let service = ServiceBuilder::new()
        .layer(TraceLayer::client().grpc())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(Endpoint::from(uri.clone()).connect_lazy());
    // With the origin, for `server.address`.
    let mut client = HealthClient::with_origin(service, uri);
    let of = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };

    println!("{:?}", client.check(of("")).await?.into_inner());
    if let Err(status) = client.check(of("nobody.Knows")).await {
        println!("{:?}: {}", status.code(), status.message());
    }
    let mut watch = client.watch(of("")).await?.into_inner();
    println!("{:?}", watch.message().await?);
    drop(watch); // CANCELLED at both ends, and no error

    drop((client, stop));
    Ok(server.await??)
}
