//! What the layers cost in your service: `cargo run --release -p guide --bin tuning [REQUESTS]`.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, body::to_bytes, http::Request, routing::get};
use tower::ServiceExt;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, observe};

type Error = Box<dyn std::error::Error>;

fn router() -> Router {
    Router::new().route("/users/{id}", get(|| async { "hello" }))
}

/// Sends requests in process. Returns their mean time.
async fn round(app: &Router, requests: u32) -> Result<Duration, Error> {
    let started = Instant::now();
    for _ in 0..requests {
        let request = Request::get("/users/7").body(Body::empty())?;
        let response = app.clone().oneshot(request).await?;
        to_bytes(response.into_body(), 100).await?;
    }
    Ok(started.elapsed() / requests)
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort();
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = Telemetry::builder("users")
        .queue_size(8192)
        .schedule_delay(Duration::from_secs(1))
        .install()?;
    let requests = std::env::args()
        .nth(1)
        .map_or(Ok(2000), |arg| arg.parse())?;
    let layers = observe((TraceLayer::server(), MetricsLayer::server()));
    // With its state, as `axum::serve` does. Otherwise a router wraps its routes for each request.
    let bare: Router = router().with_state(());
    let observed: Router = router().layer(layers).with_state(());
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // In turns, so that other load on the machine affects both.
    for _ in 0..21 {
        without.push(round(&bare, requests).await?);
        with.push(round(&observed, requests).await?);
    }
    println!("bare router   {:?} a request", median(without));
    println!("with layers   {:?} a request", median(with));
    println!("dropped spans {:?}", telemetry.dropped_spans());
    Ok(())
}
