//! A client that retries: `cargo run -p guide --bin clients [URL]`, while `start` runs.

use std::time::Duration;

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tower_otel_init::{
    MetricsLayer, NoPropagation, PropagateLayer, Route, Telemetry, TraceLayer, observe,
};

/// A client for the state of the application. It is cheap to clone.
fn client() -> reqwest::Result<ClientWithMiddleware> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()?;
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(50), Duration::from_secs(1))
        .build_with_max_retries(3);
    let layers = observe((
        TraceLayer::client(),
        MetricsLayer::client(),
        PropagateLayer::new(),
    ));
    Ok(ClientBuilder::new(client)
        .with(RetryTransientMiddleware::new_with_policy(policy))
        // After the middleware that retries: each attempt has its own span.
        .with(layers.into_middleware())
        .build())
}

/// The span `report` contains all attempts. With `err`, it fails if the function returns an error.
#[tracing::instrument(skip_all, err)]
async fn report(client: &ClientWithMiddleware, url: &str) -> reqwest_middleware::Result<String> {
    let request = client.get(url);
    // `url.template`, and the name of the span.
    let request = request.with_extension(Route::from("/users/{id}"));
    let response = request.send().await?.error_for_status()?;
    Ok(response.text().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env("report")?;
    let client = client()?;
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://127.0.0.1:3000/users/7");
    println!("{}", report(&client, url).await?);

    // Third parties do not get the trace id.
    let response = client.get(url).with_extension(NoPropagation).send().await?;
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
