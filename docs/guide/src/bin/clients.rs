//! A client that retries: `cargo run -p guide --bin clients [URL]`. Without a URL it starts a server for its request.

use std::{
    future::IntoFuture,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tokio::net::TcpListener;
use tower_otel_init::{MetricsLayer, PropagateLayer, Route, Telemetry, TraceLayer, observe};

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
    // `err` records the text of the error. That of reqwest has the whole URL, with secrets in its query.
    user(client, url).await.map_err(Error::without_url)
}

async fn user(client: &ClientWithMiddleware, url: &str) -> reqwest_middleware::Result<String> {
    let request = client.get(url);
    // `url.template`, and the name of the span.
    let request = request.with_extension(Route::from("/users/{id}"));
    let response = request.send().await?.error_for_status()?;
    Ok(response.text().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::from_env("report")?;
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => server().await?,
    };
    println!("{}", report(&client()?, &url).await?);
    Ok(())
}

/// Starts a server whose first response is `503`. Returns the URL of a user.
async fn server() -> std::io::Result<String> {
    static FIRST: AtomicBool = AtomicBool::new(true);
    let user = || async {
        match FIRST.swap(false, Ordering::Relaxed) {
            true => (StatusCode::SERVICE_UNAVAILABLE, ""),
            false => (StatusCode::OK, "user 7"),
        }
    };
    let app = Router::new().route("/users/{id}", get(user));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/users/7", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(url)
}
