//! A hyper server and client without a framework: `cargo run -p example-hyper`.
//!
//! Sends two requests to its own server, and prints their traces and counters.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_init::{Sampler, Telemetry, TracesExporter};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::{HttpOptions, TraceLayer};

async fn get_item(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("7 left")))
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    // Without a framework, this function returns the route of a request.
    let options = HttpOptions::default().route(|request| {
        let is_item = request.target().path.starts_with("/items/");
        is_item.then(|| "/items/{sku}".into())
    });
    let service = ServiceBuilder::new()
        .layer(TraceLayer::server().http_options(&options))
        .layer(MetricsLayer::server().http_options(&options))
        .service_fn(get_item);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            server.serve_connection(TokioIo::new(stream), service).await
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::builder("stock")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0))
        .pretty_logs(true)
        .install()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(Client::builder(TokioExecutor::new()).build_http());
    for path in ["/items/chair", "/favicon.ico"] {
        let request = Request::get(format!("http://{address}{path}")).body(Empty::<Bytes>::new())?;
        let response = client.clone().oneshot(request).await?;
        response.into_body().collect().await?; // ends the exchange
    }
    let prometheus = telemetry.prometheus().ok_or("METRICS_ENABLED is false")?;
    for line in prometheus
        .render()
        .lines()
        .filter(|line| line.contains("_total{"))
    {
        println!("{line}");
    }
    Ok(())
}
