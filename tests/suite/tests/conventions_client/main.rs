//! The attributes of client spans by the conventions, over real sockets, with hyper-util's client,
//! reqwest and every span backend.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod attempts;
mod connection;
mod errors;
mod options;
mod parents;
mod url;

use std::{cell::Cell, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request, reqwest_client_to},
    keys::OPT_INS,
    net::{Http, serve},
    server::{app, next_span},
    table::{assert_span_attributes, lines, rows},
    telemetry::TestTelemetry,
};
use tokio::net::TcpSocket;
use tower::Service;
use tower_otel_trace::TraceLayer;

/// A client and its recorded spans.
struct Client {
    backend: Backend,
    telemetry: TestTelemetry,
    layer: TraceLayer,
    server: SocketAddr,
    spans_returned: Cell<usize>,
}

#[derive(Clone, Copy, Debug)]
enum HttpClient {
    Hyper(Http),
    Reqwest(Http),
}

const HYPER: [HttpClient; 2] = [HttpClient::Hyper(Http::One), HttpClient::Hyper(Http::Two)];
const ALL: [HttpClient; 4] = [
    HttpClient::Hyper(Http::One),
    HttpClient::Hyper(Http::Two),
    HttpClient::Reqwest(Http::One),
    HttpClient::Reqwest(Http::Two),
];

impl Client {
    async fn new(backend: Backend, layer: TraceLayer) -> Self {
        Self::for_server(backend, layer, TestTelemetry::new(), serve(app()).await)
    }

    fn for_server(
        backend: Backend,
        layer: TraceLayer,
        telemetry: TestTelemetry,
        server: SocketAddr,
    ) -> Self {
        Self {
            backend,
            telemetry,
            layer,
            server,
            spans_returned: Cell::new(0),
        }
    }

    /// Sends `METHOD URL` to the server, for any host in the URL.
    async fn send(&self, http_client: HttpClient, line: &str) -> Option<StatusCode> {
        match http_client {
            HttpClient::Hyper(http) => {
                self.send_with(hyper_client_to(http, self.server), request(line))
                    .await
            }
            HttpClient::Reqwest(http) => {
                let (method, url) = line.split_once(' ').unwrap();
                let method = method.parse().unwrap();
                let request = reqwest::Request::new(method, url.parse().unwrap());
                self.send_reqwest_with(reqwest_client_to(http, self.server), request)
                    .await
            }
        }
    }

    async fn send_with<S, B>(&self, client: S, request: Request<Empty<Bytes>>) -> Option<StatusCode>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
        S::Error: std::fmt::Display + 'static,
        B: http_body::Body<Error: std::fmt::Display + 'static> + 'static,
    {
        let layer = self.layer.clone();
        self.backend
            .send(&self.telemetry, layer, client, request)
            .await
            .ok()
    }

    async fn send_reqwest_with(
        &self,
        client: reqwest::Client,
        request: reqwest::Request,
    ) -> Option<StatusCode> {
        let layer = self.layer.clone();
        self.backend
            .send_reqwest(&self.telemetry, layer, client, request)
            .await
            .ok()
    }

    async fn next_span(&self) -> SpanData {
        let span = next_span(&self.telemetry, self.backend, &self.spans_returned).await;
        assert_eq!(span.span_kind, SpanKind::Client);
        span
    }

    async fn span_of(&self, http_client: HttpClient, line: &str) -> SpanData {
        self.send(http_client, line).await;
        self.next_span().await
    }
}

/// Sends the request of each line with these clients and checks the attributes of its span.
async fn table(clients: &[HttpClient], layer: impl Fn() -> TraceLayer, cases: &str) {
    for backend in Backend::ALL {
        let client = Client::new(backend, layer()).await;
        for (line, attributes) in lines(cases) {
            for http_client in clients {
                let span = client.span_of(*http_client, line).await;
                assert_span_attributes(&span, &rows(attributes));
            }
        }
    }
}

/// Returns a loopback address that refuses connections. The socket keeps its port from other tests.
fn refusing_server() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Returns a layer with every option that adds attributes.
fn everything() -> TraceLayer {
    TraceLayer::client()
        .opt_in(OPT_INS)
        .body_sizes()
        .exceptions()
        .expose_span()
}
