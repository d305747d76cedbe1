//! Spans of an application: `cargo run -p guide --bin spans [ADDRESS]`.

use axum::{
    Extension, Router,
    extract::Path,
    http::{HeaderName, StatusCode},
    routing::get,
};
use opentelemetry::KeyValue;
use tokio::net::TcpListener;
use tower_otel_init::{Filter, SpanHandle, Telemetry, TraceLayer, shutdown_signal};
use tracing::{Instrument, Span, field::Empty};

/// A child of the span of the request. `rows` is recorded when it is known.
#[tracing::instrument(fields(rows = Empty))]
async fn load(id: u64) -> Option<&'static str> {
    let user = ["Ada", "Grace"].get(usize::try_from(id).ok()?).copied();
    Span::current().record("rows", usize::from(user.is_some()));
    user
}

/// Reads the mailbox in a task of its own, which gets a span of its own.
async fn unread(id: u64) -> Result<u64, StatusCode> {
    let count = async move { 3 + id };
    let task = tokio::spawn(count.instrument(tracing::info_span!("unread", user.id = id)));
    task.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn user(
    span: Option<Extension<SpanHandle>>,
    Path(id): Path<u64>,
) -> Result<String, StatusCode> {
    if let Some(Extension(span)) = span {
        // An attribute of the span of the request itself.
        span.set_attribute(KeyValue::new("app.plan", "free"));
    }
    let Some(name) = load(id).await else {
        // A log line with the trace id, and an event of the current span.
        tracing::warn!(id, "user not found");
        return Err(StatusCode::NOT_FOUND);
    };
    let unread = unread(id).await?;
    Ok(format!("{name}: {unread} unread\n"))
}

async fn report() -> StatusCode {
    let span = tracing::info_span!("build report");
    // An event of level ERROR marks the span as failed.
    span.in_scope(|| tracing::error!("the template is missing"));
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::from_env("users")?;
    let layer = TraceLayer::server()
        .filter(Filter::skip_paths(["/healthz"]))
        .capture_request_headers([HeaderName::from_static("x-request-id")])
        .expose_span();
    let app = Router::new()
        .route("/users/{id}", get(user))
        .route("/report", get(report))
        .route("/healthz", get(|| async { "ok" }))
        .layer(layer);

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}
