//! Server-sent events and another endless response: `cargo run -p guide --bin streams [ADDRESS]`.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    response::sse::{Event, Sse},
    routing::get,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::{Stream, StreamExt};
use tower_otel_init::{LongLived, MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};

fn prices() -> impl Stream<Item = u64> {
    tokio_stream::iter(100..).throttle(Duration::from_millis(200))
}

/// An event stream needs no extension: its `Content-Type` is `text/event-stream`.
async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(prices().map(|price| Ok(Event::default().data(price.to_string()))))
}

/// Other long-lived streams need the extension.
async fn lines() -> (Extension<LongLived>, Body) {
    let lines = prices().map(|price| Ok::<_, Infallible>(format!("{price}\n")));
    (Extension(LongLived::default()), Body::from_stream(lines))
}

async fn serve(telemetry: &Telemetry) -> Result<(), Box<dyn std::error::Error>> {
    let mut app = Router::new()
        .route("/events", get(events))
        .route("/lines", get(lines))
        .layer(observe((TraceLayer::server(), MetricsLayer::server())));
    if let Some(prometheus) = telemetry.prometheus() {
        app = app.route_service("/metrics", prometheus.service());
    }
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Started before the runtime, and dropped after it: the last streams end with the runtime.
    let telemetry = Telemetry::from_env("prices")?;
    Runtime::new()?.block_on(serve(&telemetry))
}
