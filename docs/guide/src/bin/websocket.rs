//! A WebSocket that echoes: `cargo run -p guide --bin websocket [ADDRESS]`.

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
    routing::any,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tower_otel_init::{LongLived, MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};
use tracing::Instrument;

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    let connection = LongLived::default();
    let extension = connection.clone();
    // The layers observe the connection while this future runs.
    let mut response = upgrade.on_upgrade(|socket| connection.run(talk(socket)));
    response.extensions_mut().insert(extension);
    response
}

async fn talk(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(text) = message {
            let span = tracing::info_span!("message", bytes = text.len());
            let answer = socket.send(Message::Text(text));
            if answer.instrument(span).await.is_err() {
                return;
            }
        }
    }
}

async fn serve(telemetry: &Telemetry) -> Result<(), Box<dyn std::error::Error>> {
    let mut app = Router::new()
        .route("/chat", any(chat))
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
    let telemetry = Telemetry::from_env("chat")?;
    Runtime::new()?.block_on(serve(&telemetry))
}
