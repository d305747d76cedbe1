//! Downloads of a folder: `cargo run -p guide --bin downloads [ADDRESS] [FOLDER]`.

use axum::Router;
use tokio::{net::TcpListener, runtime::Runtime};
use tower_http::services::ServeDir;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};

async fn serve(telemetry: &Telemetry) -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(2);
    let folder = ServeDir::new(folder.as_deref().unwrap_or("docs"));
    // `nest` removes `/files` from the path. The wildcard is the route that the layers record.
    let files = Router::new()
        .route_service("/", folder.clone())
        .route_service("/{*file}", folder);
    let mut app = Router::new()
        .nest("/files", files)
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
    let telemetry = Telemetry::from_env("files")?;
    Runtime::new()?.block_on(serve(&telemetry))
}
