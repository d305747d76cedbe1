//! The layers of the suite, around the servers and the clients of this system.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use reqwest::Client;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tower_otel_core::{Filter, Hosts, RequestHead, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{PropagateLayer, RemoteParent};
use tower_otel_semconv::SensitiveKeys;
use tower_otel_trace::TraceLayer;

use crate::{
    BoxError,
    auth::{Audience, Keys, bearer},
    db::Database,
    problem::{Problem, no_method, no_route},
    process::Process,
};

/// How long a handler may take until its head. Bodies that stream take as long as they take.
const HANDLER: Duration = Duration::from_secs(30);

/// Query parameters that nobody reads in a trace: the conventions' list holds signatures alone.
const SENSITIVE: [&str; 9] = [
    "access_token",
    "api_key",
    "code",
    "email",
    "key",
    "password",
    "secret",
    "sig",
    "token",
];

/// The routes of a service, observed, and beside them those for its operators, which are not:
/// probes and scrapes would be most of what a quiet night records.
pub(crate) fn server(
    routes: Router,
    keys: Keys,
    audience: Audience,
    database: &Database,
    process: &Process,
) -> Router {
    let traces = TraceLayer::server()
        .remote_parent(move |request| trust(&keys, audience, request))
        .sensitive_query_keys(SensitiveKeys::new(SENSITIVE));
    let observed = routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(in_time))
        .layer(observe((traces, MetricsLayer::server())));
    observed.merge(operations(Some(database.clone()), process))
}

/// `/healthz` says that the process lives, `/readyz` that it can do its work, which takes its
/// database. A restart helps against the one and not against the other.
pub(crate) fn operations(database: Option<Database>, process: &Process) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(database);
    if let Some(prometheus) = &process.prometheus {
        router = router.route_service("/metrics", prometheus.service());
    }
    router
}

async fn ready(State(database): State<Option<Database>>) -> Response {
    match database {
        Some(database) if !database.is_ready().await => {
            Problem::unavailable("the database does not answer").into_response()
        }
        _ => "ready\n".into_response(),
    }
}

/// Whoever has signed in is one of ours, an app of a customer or another service, and its trace is
/// continued. Everybody else is a stranger: one must not choose what is sampled here, nor write
/// into a trace of others, so a new one begins, and theirs is linked to.
fn trust(keys: &Keys, audience: Audience, request: &dyn RequestHead) -> RemoteParent {
    match bearer(request.headers()) {
        Some(token) if keys.verify(audience, token).is_ok() => RemoteParent::Continue,
        _ => RemoteParent::Link,
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(HANDLER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("this took too long").into_response(),
    }
}

/// A client whose every attempt is a span and is counted, and which tells these hosts about the
/// trace. Whom else we call is no part of this system, and need not know.
pub(crate) fn client(tell: Hosts, timeout: Duration) -> Result<ClientWithMiddleware, BoxError> {
    let client = Client::builder()
        .connect_timeout(Duration::from_secs(1))
        .timeout(timeout)
        // A redirect would carry the credentials of one service to another.
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let traces = TraceLayer::client().sensitive_query_keys(SensitiveKeys::new(SENSITIVE));
    let propagate = PropagateLayer::new().filter(Filter::only_hosts(tell));
    Ok(ClientBuilder::new(client)
        .with(observe((traces, MetricsLayer::client(), propagate)).into_middleware())
        .build())
}
