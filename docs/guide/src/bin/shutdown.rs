//! Stops with open streams: `cargo run -p guide --bin shutdown [ADDRESS] [MILLISECONDS]`.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    response::sse::{Event, KeepAlive, Sse},
    routing::get,
};
use tokio::{net::TcpListener, runtime::Runtime, time::sleep};
use tokio_stream::Stream;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};

/// Never ends.
async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let keep_alive = KeepAlive::new().interval(Duration::from_millis(100));
    Sse::new(tokio_stream::pending()).keep_alive(keep_alive)
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new()
        .route("/events", get(events))
        .layer(observe((TraceLayer::server(), MetricsLayer::server())));
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let limit = match std::env::args().nth(2) {
        Some(millis) => Duration::from_millis(millis.parse()?),
        None => Duration::from_secs(20),
    };
    let limit = async {
        shutdown_signal().await;
        println!("stopping: waiting for open responses");
        sleep(limit).await;
    };
    tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()) => served?,
        () = limit => println!("stopping: closing open responses"),
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env("prices")?;
    // At the end of this statement the runtime is dropped, and open responses end.
    Runtime::new()?.block_on(serve())?;
    if let Err(error) = telemetry.shutdown(Duration::from_secs(5)) {
        eprintln!("{error}");
    }
    println!("stopped");
    Ok(())
}
