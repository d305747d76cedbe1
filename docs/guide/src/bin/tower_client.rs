//! A reqwest client as a tower service: `cargo run -p guide --bin tower_client [URL]`, while `start` runs.

use std::time::Duration;

use tower::Layer;
use tower_otel_init::{
    MetricsLayer, Observed, PropagateLayer, RequestBuilderExt, Telemetry, TraceLayer, observe,
};

/// The state of an application. It is cheap to clone.
#[derive(Clone)]
struct App {
    http: reqwest::Client,
    users: Observed<reqwest::Client, (TraceLayer, MetricsLayer, PropagateLayer)>,
}

impl App {
    fn new() -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()?;
        let layers = observe((
            TraceLayer::client(),
            MetricsLayer::client(),
            PropagateLayer::new(),
        ));
        let users = layers.layer(http.clone());
        Ok(Self { http, users })
    }

    async fn user(&self, url: &str) -> reqwest::Result<String> {
        let request = self.http.get(url).header("accept", "text/plain");
        let response = request.send_with(self.users.clone()).await?;
        response.error_for_status()?.text().await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::from_env("report")?;
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://127.0.0.1:3000/users/7");
    println!("{}", App::new()?.user(url).await?);
    Ok(())
}
