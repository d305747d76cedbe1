//! The telemetry layers of the servers and clients of this system.

use std::{future, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use reqwest::Client;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tower_otel_core::{RequestHead, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{Filter, Hosts, PropagateLayer};
use tower_otel_trace::{RemoteParent, SensitiveKeys, TraceLayer};

use crate::{
    BoxError,
    auth::{Audience, Keys, VerifiedToken},
    db::Database,
    problem::{Problem, method_not_allowed, route_not_found},
    process::Process,
};

/// The time limit of a handler until the response head. Response bodies have no limit.
pub(crate) const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// The query parameters to redact. They replace the default list of the layers, which has neither `email` nor `key`.
const SENSITIVE_KEYS: [&str; 9] = [
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

/// Adds the layers to servers and clients. It adds no layers if `OTEL_SDK_DISABLED` is set, so that the load
/// test can compare both.
#[derive(Clone, Copy)]
pub(crate) struct Layers {
    is_enabled: bool,
}

impl Layers {
    pub(crate) const fn new(is_enabled: bool) -> Self {
        Self { is_enabled }
    }

    /// Returns the routes of a service with telemetry. The operational routes have no telemetry, because probes and
    /// scrapes would be most of the requests. Tokens are verified before the layers, also without telemetry.
    pub(crate) fn server(self, routes: Router, keys: Keys, audience: Audience) -> Router {
        let routes = routes
            .fallback(route_not_found)
            .method_not_allowed_fallback(method_not_allowed);
        let traces = TraceLayer::server()
            .remote_parent(remote_parent)
            .sensitive_query_keys(SensitiveKeys::new(SENSITIVE_KEYS));
        let verify = middleware::map_request(move |mut request: Request| {
            VerifiedToken::insert(&keys, audience, &mut request);
            future::ready(request)
        });
        let limit = middleware::from_fn(limit_time);
        // One call of `layer`: each adds a box, and every request clones all of them.
        match self.is_enabled {
            true => routes.layer((verify, observe((traces, MetricsLayer::server())), limit)),
            false => routes.layer((verify, limit)),
        }
    }

    /// Returns a client that records each attempt, and sends the trace context only to `propagate_to`.
    pub(crate) fn client(
        self,
        propagate_to: Hosts,
        timeout: Duration,
    ) -> Result<ClientWithMiddleware, BoxError> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(1))
            .timeout(timeout)
            // A redirect could send credentials to another service.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let client = ClientBuilder::new(client);
        if !self.is_enabled {
            return Ok(client.build());
        }
        let traces = TraceLayer::client().sensitive_query_keys(SensitiveKeys::new(SENSITIVE_KEYS));
        let propagate = PropagateLayer::new().filter(Filter::only_hosts(propagate_to));
        let observers = observe((traces, MetricsLayer::client(), propagate));
        Ok(client.with(observers.into_middleware()).build())
    }
}

/// Returns the operational routes. `/healthz` succeeds while the process runs, `/readyz` while the
/// database responds.
pub(crate) fn operations(database: Database, process: &Process) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(database);
    if let Some(prometheus) = process.prometheus() {
        router = router.route_service("/metrics", prometheus.service());
    }
    router
}

async fn ready(State(database): State<Database>) -> Response {
    match database.is_ready().await {
        true => "ready\n".into_response(),
        false => Problem::unavailable("the database does not respond").into_response(),
    }
}

/// Continues the trace of a request with a valid token. Other requests start a new trace that links
/// to the remote trace, so that unknown clients cannot decide which traces are sampled, or extend other traces.
fn remote_parent(request: &dyn RequestHead) -> RemoteParent {
    match request.extensions() {
        Some(extensions) if VerifiedToken::is_valid(extensions) => RemoteParent::Continue,
        _ => RemoteParent::Link,
    }
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}
