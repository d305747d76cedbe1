//! A server on loopback with recorded spans, and the application that it serves.

use std::{cell::Cell, net::SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Path, Request, connect_info::Connected},
    response::Redirect,
    routing::any,
    serve::IncomingStream,
};
use http::{HeaderMap, StatusCode};
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::util::MapRequestLayer;
use tower_otel_core::{LocalAddr, PeerAddr};
use tower_otel_trace::TraceLayer;

use crate::{
    backend::Backend,
    keys::assert_valid_span,
    telemetry::{TestTelemetry, with_timeout},
};

/// A server on loopback, whose spans are read one by one.
pub struct Server {
    pub telemetry: TestTelemetry,
    pub address: SocketAddr,
    pub backend: Backend,
    spans_returned: Cell<usize>,
}

impl Server {
    /// Starts [`app`] behind the layer.
    pub async fn start(backend: Backend, layer: TraceLayer) -> Self {
        Self::with_router(backend, TestTelemetry::new(), layer, app()).await
    }

    /// Starts a router with the layer on its routes.
    pub async fn with_router(
        backend: Backend,
        telemetry: TestTelemetry,
        layer: TraceLayer,
        router: Router,
    ) -> Self {
        let router = backend.layer_router(&telemetry, layer, router);
        Self::serve_router(backend, telemetry, router).await
    }

    /// Starts [`app`] behind the layer, with the peer and local address in the request extensions.
    pub async fn with_connection_addresses(backend: Backend, layer: TraceLayer) -> Self {
        let telemetry = TestTelemetry::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = backend
            .layer_router(&telemetry, layer, app())
            .layer(MapRequestLayer::new(ConnectionAddresses::insert_into))
            .into_make_service_with_connect_info::<ConnectionAddresses>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self::running_at(backend, telemetry, address)
    }

    /// Starts a router that already has its layers, with `ConnectInfo` of the peer.
    pub async fn serve_router(backend: Backend, telemetry: TestTelemetry, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self::running_at(backend, telemetry, address)
    }

    /// Wraps a server that is already running.
    pub fn running_at(backend: Backend, telemetry: TestTelemetry, address: SocketAddr) -> Self {
        Self {
            telemetry,
            address,
            backend,
            spans_returned: Cell::new(0),
        }
    }

    /// Sends lines unchanged and returns the head of the response.
    pub async fn send(&self, request: &str) -> String {
        let (head, _) = send_raw(self.address, request).await;
        head
    }

    /// Sends lines unchanged and returns the span of the exchange.
    pub async fn span_of(&self, request: &str) -> SpanData {
        let (_, _open) = send_raw(self.address, request).await;
        self.next_span().await
    }

    /// Waits for the next span.
    pub async fn next_span(&self) -> SpanData {
        next_span(&self.telemetry, self.backend, &self.spans_returned).await
    }
}

/// The peer and the local address of a connection.
#[derive(Clone, Copy)]
struct ConnectionAddresses(PeerAddr, LocalAddr);

impl Connected<IncomingStream<'_, TcpListener>> for ConnectionAddresses {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let local = stream.io().local_addr().unwrap();
        Self(PeerAddr(*stream.remote_addr()), LocalAddr(local))
    }
}

impl ConnectionAddresses {
    fn insert_into(mut request: Request) -> Request {
        let extensions = request.extensions_mut();
        let ConnectInfo(Self(peer, local)) = extensions.remove().unwrap();
        extensions.insert(peer);
        extensions.insert(local);
        request
    }
}

/// Waits for the next span and checks it with [`assert_valid_span`].
pub async fn next_span(
    telemetry: &TestTelemetry,
    backend: Backend,
    spans_returned: &Cell<usize>,
) -> SpanData {
    let index = spans_returned.replace(spans_returned.get() + 1);
    telemetry
        .wait_until("a span ends", |telemetry| telemetry.spans().len() > index)
        .await;
    let spans = telemetry.spans();
    assert_eq!(
        spans.len(),
        index + 1,
        "one span per request, not {spans:#?}"
    );
    let span = spans.into_iter().nth(index).unwrap();
    assert_valid_span(&span, backend);
    span
}

/// Writes lines on a new connection. Returns the head of the response and the connection.
pub async fn send_raw(address: SocketAddr, request: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{}\r\n\r\n", request.replace('\n', "\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
    };
    with_timeout("the head of the response", reading).await;
    (String::from_utf8_lossy(&head).into_owned(), stream)
}

/// An application with one route for each case of the tests.
pub fn app() -> Router {
    Router::new()
        .route("/users/{id}", any(|| async { "a user" }))
        .route(
            "/status/{code}",
            any(|Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() }),
        )
        .route("/moved", any(|| async { Redirect::to("/users/7") }))
        .route("/round", any(|| async { Redirect::to("/round") }))
        .route("/stall", any(std::future::pending::<StatusCode>))
        .route("/context", any(context))
}

/// Responds with the trace headers that an outgoing request of the handler has.
pub async fn context() -> HeaderMap {
    let mut headers = HeaderMap::new();
    tower_otel_propagate::inject(&Context::current(), &mut headers);
    headers
}

/// Returns the `traceparent` in the head of a response from [`context`].
pub fn traceparent(head: &str) -> Option<&str> {
    head.lines()
        .find_map(|line| line.strip_prefix("traceparent: "))
}
