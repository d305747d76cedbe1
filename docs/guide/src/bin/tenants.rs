//! A label for each tenant: `cargo run -p guide --bin tenants [ADDRESS]`.

use axum::{
    Extension, Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn, map_request},
    response::Response,
    routing::get,
};
use opentelemetry::KeyValue;
use tokio::net::TcpListener;
use tower_otel_init::{MetricsLayer, SpanHandle, Telemetry, TraceLayer, observe, shutdown_signal};

/// A tenant that the service knows. Metrics have its plan, spans its name.
#[derive(Clone, Copy)]
struct Tenant {
    name: &'static str,
    plan: &'static str,
}

/// Stands for the check of a token.
async fn authenticate(mut request: Request) -> Request {
    let tenant = match request.headers().get("x-api-key").map(|key| key.as_bytes()) {
        Some(b"key-of-acme") => Tenant {
            name: "acme",
            plan: "enterprise",
        },
        Some(b"key-of-bob") => Tenant {
            name: "bob",
            plan: "free",
        },
        _ => return request,
    };
    request.extensions_mut().insert(tenant);
    request
}

/// Refuses requests without a tenant. It is inside the layers, so they record the refusal.
async fn authorize(
    tenant: Option<Extension<Tenant>>,
    span: Option<Extension<SpanHandle>>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let Extension(tenant) = tenant.ok_or(StatusCode::UNAUTHORIZED)?;
    if let Some(Extension(span)) = span {
        span.set_attribute(KeyValue::new("app.tenant", tenant.name));
    }
    Ok(next.run(request).await)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env("orders")?;
    let metrics = MetricsLayer::server().label("plan", |request| {
        let tenant: Option<&Tenant> = request.extensions()?.get();
        Some(tenant.map_or("none", |tenant| tenant.plan).into())
    });
    let mut app = Router::new()
        .route("/orders", get(|| async { "no orders\n" }))
        .layer(from_fn(authorize))
        .layer(observe((TraceLayer::server().expose_span(), metrics)))
        .layer(map_request(authenticate)); // the last layer runs first
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
