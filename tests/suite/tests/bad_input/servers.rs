//! Servers with and without the layers, and requests as bytes.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use axum::{Router, extract::Request, routing::any};
use hyper::body::Incoming;
use suite_tests::{
    backend::{AnyTraceLayer, Backend},
    net::serve,
    telemetry::with_timeout,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_otel_core::PeerAddr;
use tower_otel_metrics::MetricsLayer;

/// Responds with the received request, so that a request changed by the layers has a different response.
async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &parts.headers {
        headers.entry(name.as_str()).or_default().push(value);
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    format!(
        "{} {} {:?}\n{headers:?}\n{body:?}",
        parts.method, parts.uri, parts.version
    )
}

pub(crate) fn router() -> Router {
    Router::new().route("/things/{id}", any(echo))
}

pub(crate) fn peer() -> SocketAddr {
    ([192, 0, 2, 9], 4711).into()
}

/// The placement of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// On the routes of the router.
    OnRoutes,
    /// Around the router.
    AroundRouter,
}

pub(crate) async fn serve_layered(placement: Placement, spans: AnyTraceLayer) -> SocketAddr {
    let layers = ServiceBuilder::new()
        .layer(spans)
        .layer(MetricsLayer::server());
    match placement {
        Placement::OnRoutes => serve(with_peer_address(router().layer(layers))).await,
        Placement::AroundRouter => serve(with_peer_address(layers.service(router()))).await,
    }
}

/// Returns all placements with all span backends.
pub(crate) fn placements_and_backends() -> impl Iterator<Item = (Placement, Backend)> {
    let placements = [Placement::OnRoutes, Placement::AroundRouter].into_iter();
    placements.flat_map(|placement| Backend::ALL.map(|backend| (placement, backend)))
}

/// Adds the peer address, as a server does for its connections.
fn with_peer_address<S, B>(
    service: S,
) -> impl Service<
    http::Request<Incoming>,
    Response = http::Response<B>,
    Error = Infallible,
    Future = S::Future,
> + Clone
+ Send
+ 'static
where
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
{
    service.map_request(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer()));
        request
    })
}

/// Writes bytes and returns the response without its date.
pub(crate) async fn send(to: SocketAddr, bytes: &[u8]) -> String {
    let response = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let shown = bytes.get(..200).unwrap_or(bytes).escape_ascii();
    let response = with_timeout(&format!("the response to {shown}"), response).await;
    let response = String::from_utf8(response).unwrap();
    let lines = response.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}
