//! A gRPC server and its client: `cargo run -p guide --bin grpc`.

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server, Uri};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_otel_init::{MetricsLayer, PropagateLayer, Telemetry, TraceLayer, observe};

async fn serve(listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(observe((
            TraceLayer::server().grpc(),
            MetricsLayer::server().grpc(),
        )))
        .add_service(health)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env("health")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri: Uri = format!("http://{}", listener.local_addr()?).parse()?;
    tokio::spawn(serve(listener));

    let channel = ServiceBuilder::new()
        .layer(observe((
            TraceLayer::client().grpc(),
            MetricsLayer::client().grpc(),
            PropagateLayer::new(),
        )))
        .service(Endpoint::from(uri.clone()).connect_lazy());
    // The origin is in each request, for `server.address` and the label `host`.
    let mut client = HealthClient::with_origin(channel, uri);

    for service in ["", "unknown.Service"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        match client.check(request).await {
            Ok(response) => println!("{:?}", response.into_inner()),
            Err(status) => println!("{:?}: {}", status.code(), status.message()),
        }
    }
    if let Some(prometheus) = telemetry.prometheus() {
        let metrics = prometheus.render();
        for line in metrics
            .lines()
            .filter(|line| line.contains("requests_total{"))
        {
            println!("{line}");
        }
    }
    Ok(())
}
