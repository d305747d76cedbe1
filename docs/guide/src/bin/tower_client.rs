//! A reqwest client as a tower service: `cargo run -p guide --bin tower_client [URL]`, while `start` runs.

use std::time::Duration;

use reqwest::{Method, Request, Response};
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_otel_init::{MetricsLayer, PropagateLayer, Telemetry, TraceLayer, observe};

/// A type that can be named, for the state of an application.
type Client = BoxCloneSyncService<Request, Response, BoxError>;

fn client() -> Client {
    let client = ServiceBuilder::new()
        .layer(observe((
            TraceLayer::client(),
            MetricsLayer::client(),
            PropagateLayer::new(),
        )))
        // Inside of the layers, so that they record a timeout.
        .timeout(Duration::from_secs(5))
        .service(reqwest::Client::new());
    BoxCloneSyncService::new(client)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::from_env("report")?;
    let client = client();
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://127.0.0.1:3000/users/7");

    let request = Request::new(Method::GET, url.parse()?);
    let response = client.oneshot(request).await?;
    println!("{} {}", response.status(), response.text().await?);

    if let Some(prometheus) = telemetry.prometheus() {
        let metrics = prometheus.render();
        for line in metrics
            .lines()
            .filter(|line| line.starts_with("http_client_requests_total{"))
        {
            println!("{line}");
        }
    }
    Ok(())
}
