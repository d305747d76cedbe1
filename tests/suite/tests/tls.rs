//! The layers around servers and clients over TLS: the scheme, one trace, and exchanges whose connection ends without the
//! closing message of TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "tls/server.rs"]
mod server;

use std::net::SocketAddr;

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use server::{Certificates, TlsServer};
use suite_tests::{
    backend::Backend,
    keys::assert_valid_span,
    net::{Http, ScriptedBody, Step, serve},
    telemetry::{TestTelemetry, integer, text, with_convention_names, with_timeout},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::client;
use tower::{Layer, ServiceExt};
use tower_otel_core::{HttpOptions, ObserveLayer, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

type Metrics = (MetricsLayer, MetricsLayer);
type ServerLayer = ObserveLayer<(suite_tests::backend::AnyTraceLayer, Metrics)>;
type ClientLayer = ObserveLayer<(suite_tests::backend::AnyTraceLayer, Metrics, PropagateLayer)>;

fn metrics(layer: MetricsLayer) -> Metrics {
    (layer.clone(), with_convention_names(layer))
}

fn server_layer(telemetry: &TestTelemetry, backend: Backend, options: &HttpOptions) -> ServerLayer {
    let trace = TraceLayer::server().http_options(options);
    let metrics = metrics(MetricsLayer::server().http_options(options));
    observe((backend.layer(telemetry.source(), trace), metrics))
}

fn client_layer(telemetry: &TestTelemetry, backend: Backend) -> ClientLayer {
    let trace = backend.layer(telemetry.source(), TraceLayer::client());
    let metrics = metrics(MetricsLayer::client());
    observe((trace, metrics, PropagateLayer::new()))
}

fn app() -> Router {
    let body = || axum::body::Body::new(ScriptedBody::new([Step::Data("a"), Step::Pending]));
    Router::new()
        .route("/users/{id}", get(|| async { "a user" }))
        .route("/endless", get(move || async move { body() }))
}

/// Sends a request through the layers of a client.
async fn send(
    telemetry: &TestTelemetry,
    backend: Backend,
    client: reqwest::Client,
    url: &str,
) -> Result<reqwest::Response, reqwest::Error> {
    let client = client_layer(telemetry, backend).layer(client);
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    with_timeout("the response", client.oneshot(request)).await
}

/// Waits until this number of exchanges have ended, and returns their spans. Checks that the same number is counted, and that
/// none is in flight.
async fn ended(telemetry: &TestTelemetry, servers: usize, clients: usize) -> Vec<SpanData> {
    telemetry
        .wait_until("the exchanges end", |telemetry| {
            telemetry.spans().len() >= servers + clients
        })
        .await;
    for (prefix, kind, count) in [
        ("http_", SpanKind::Server, servers),
        ("http_client_", SpanKind::Client, clients),
    ] {
        let spans = telemetry.spans();
        let of_kind = spans.iter().filter(|span| span.span_kind == kind);
        assert_eq!(of_kind.count(), count, "{kind:?}: {spans:#?}");
        let sum = |name: &str| telemetry.sum(&format!("{prefix}{name}"), &[]);
        let text = telemetry.metrics();
        assert_eq!(sum("requests_total"), count as f64, "{text}");
        assert_eq!(sum("request_duration_seconds_count"), count as f64);
        assert_eq!(sum("requests_in_flight"), 0.0, "{text}");
    }
    telemetry.spans()
}

fn span_of(spans: &[SpanData], kind: &SpanKind) -> SpanData {
    let span = spans.iter().find(|span| span.span_kind == *kind);
    span.unwrap().clone()
}

fn version(http: Http) -> Option<&'static str> {
    Some(match http {
        Http::One => "1.1",
        Http::Two => "2",
    })
}

#[tokio::test]
async fn an_exchange_over_tls_is_one_trace_with_the_scheme_https_on_both_sides() {
    let certificates = Certificates::new();
    // If the client offers both versions, the handshake selects HTTP/2.
    for (choice, http) in [
        (Some(Http::One), Http::One),
        (Some(Http::Two), Http::Two),
        (None, Http::Two),
    ] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let options = HttpOptions::default().https();
            let app = app().layer(server_layer(&telemetry, backend, &options));
            let server = TlsServer::start(&certificates, app).await;
            let url = server.url("/users/7");
            let client = certificates.client(choice);
            let response = send(&telemetry, backend, client, &url).await.unwrap();
            assert_eq!(response.text().await.unwrap(), "a user");

            let spans = ended(&telemetry, 1, 1).await;
            let (server_span, client_span) = (
                span_of(&spans, &SpanKind::Server),
                span_of(&spans, &SpanKind::Client),
            );
            for span in [&server_span, &client_span] {
                assert_valid_span(span, backend);
                assert_eq!(text(span, "server.address").as_deref(), Some("localhost"));
                let port = i64::from(server.address.port());
                assert_eq!(integer(span, "server.port"), Some(port));
                let found = text(span, "network.protocol.version");
                assert_eq!(found.as_deref(), version(http));
                assert_eq!(text(span, "error.type"), None);
            }
            assert_eq!(server_span.name, "GET /users/{id}");
            assert_eq!(text(&server_span, "url.scheme").as_deref(), Some("https"));
            assert_eq!(text(&client_span, "url.full"), Some(url));
            let client_id = client_span.span_context.span_id();
            assert_eq!(server_span.parent_span_id, client_id);
            assert_eq!(
                server_span.span_context.trace_id(),
                client_span.span_context.trace_id()
            );
            assert_scheme_of_metrics(&telemetry, "https");
        }
    }
}

/// Checks the label of the one exchange that the server has counted by the names of the conventions.
fn assert_scheme_of_metrics(telemetry: &TestTelemetry, scheme: &str) {
    let metric = "conventions_http_server_request_duration_seconds_count";
    let count = telemetry.sum(metric, &[("url_scheme", scheme)]);
    assert_eq!(count, 1.0, "{}", telemetry.metrics());
}

#[tokio::test]
async fn a_server_that_does_not_declare_tls_has_the_scheme_of_the_target() {
    let certificates = Certificates::new();
    // A request over HTTP/2 contains its scheme. A request over HTTP/1.1 does not.
    for (http, scheme) in [(Http::One, "http"), (Http::Two, "https")] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let options = HttpOptions::default();
            let app = app().layer(server_layer(&telemetry, backend, &options));
            let server = TlsServer::start(&certificates, app).await;
            let client = certificates.client(Some(http));
            let response = client.get(server.url("/users/7")).send().await.unwrap();
            response.bytes().await.unwrap();
            let spans = ended(&telemetry, 1, 0).await;
            assert_eq!(text(&spans[0], "url.scheme").as_deref(), Some(scheme));
            assert_scheme_of_metrics(&telemetry, scheme);
        }
    }
}

#[tokio::test]
async fn a_handshake_that_fails_starts_no_exchange_on_the_server() {
    let certificates = Certificates::new();
    let telemetry = TestTelemetry::new();
    let options = HttpOptions::default().https();
    let app = app().layer(server_layer(&telemetry, Backend::Recorder, &options));
    let mut server = TlsServer::start(&certificates, app).await;
    // The head of a TLS record of 512 bytes with one byte of it, a request without TLS, and no bytes.
    for sent in [&[22, 3, 1, 2, 0, 1][..], b"GET / HTTP/1.1\r\n\r\n", b""] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        drop(stream);
        let handshake = with_timeout("the handshake fails", server.handshakes.recv()).await;
        assert!(handshake.unwrap().is_err(), "{sent:?}");
    }
    ended(&telemetry, 0, 0).await;
    // The next handshake succeeds.
    let client = certificates.client(None);
    client.get(server.url("/users/7")).send().await.unwrap();
    ended(&telemetry, 1, 0).await;
}

#[tokio::test]
async fn a_client_whose_handshake_fails_records_one_failed_exchange() {
    let certificates = Certificates::new();
    for backend in Backend::ALL {
        // A server that closes the connection in the handshake.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closing = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 16 << 10]).await;
            }
        });
        // A server without TLS.
        let plain = serve(app()).await;
        // A server whose certificate has another authority.
        let foreign = TlsServer::start(&Certificates::new(), app()).await.address;
        for (to, error) in [
            (closing, "connection_closed"),
            (plain, "connect"),
            (foreign, "connect"),
        ] {
            let telemetry = TestTelemetry::new();
            let url = format!("https://localhost:{}/users/7", to.port());
            let client = certificates.client(None);
            let failed = send(&telemetry, backend, client, &url).await;
            assert!(failed.unwrap_err().is_connect(), "{to}");
            let spans = ended(&telemetry, 0, 1).await;
            assert_eq!(text(&spans[0], "error.type").as_deref(), Some(error));
            assert_eq!(integer(&spans[0], "http.response.status_code"), None);
            let failed = [("status", "error")];
            assert_eq!(telemetry.sum("http_client_requests_total", &failed), 1.0);
        }
    }
}

/// Sends a request and reads the first frame of the body. Then the connection ends without a closing message.
async fn leave_in_body(http: Http, stream: client::TlsStream<TcpStream>) {
    let request = Request::get("https://localhost/endless")
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let io = TokioIo::new(stream);
    let (response, connection) = match http {
        Http::One => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            let connection = tokio::spawn(async move { drop(connection.await) });
            (sender.send_request(request).await, connection)
        }
        Http::Two => {
            let executor = TokioExecutor::new();
            let handshake = hyper::client::conn::http2::handshake(executor, io).await;
            let (mut sender, connection) = handshake.unwrap();
            let connection = tokio::spawn(async move { drop(connection.await) });
            (sender.send_request(request).await, connection)
        }
    };
    let mut body = response.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    // Drops the stream with its task. A TLS stream sends its closing message only when it is shut down.
    connection.abort();
    let _ = connection.await;
}

#[tokio::test]
async fn a_client_that_drops_the_connection_in_a_body_aborts_the_response_once() {
    let certificates = Certificates::new();
    for http in [Http::One, Http::Two] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let options = HttpOptions::default().https();
            let app = app().layer(server_layer(&telemetry, backend, &options));
            let server = TlsServer::start(&certificates, app).await;
            let stream = certificates.connect(http, server.address).await;
            with_timeout("a part of the body", leave_in_body(http, stream)).await;
            let spans = ended(&telemetry, 1, 0).await;
            let span = &spans[0];
            assert_eq!(text(span, "error.type").as_deref(), Some("aborted"));
            assert_eq!(integer(span, "http.response.status_code"), Some(200));
            assert_eq!(telemetry.sum("http_responses_aborted_total", &[]), 1.0);
        }
    }
}

/// Serves one response on each connection. The connection ends with or without the closing message of TLS.
async fn respond(certificates: &Certificates, response: &'static str, closes: bool) -> SocketAddr {
    let acceptor = certificates.acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(response.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            if closes {
                stream.shutdown().await.unwrap();
            }
        }
    });
    address
}

/// Without a closing message of TLS, an attacker on the network can cut a body that ends with its connection.
#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_complete_only_with_the_closing_message() {
    const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let certificates = Certificates::new();
    for (response, closes, is_complete) in [
        (UNTIL_CLOSED, true, true),
        (UNTIL_CLOSED, false, false),
        (CHUNKED, true, false),
        (CHUNKED, false, false),
    ] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let to = respond(&certificates, response, closes).await;
            let url = format!("https://localhost:{}/users/7", to.port());
            let client = certificates.client(Some(Http::One));
            let response = send(&telemetry, backend, client, &url).await.unwrap();
            let body = with_timeout("the body", response.bytes()).await;
            assert_eq!(body.is_ok(), is_complete, "{body:?}");
            let spans = ended(&telemetry, 0, 1).await;
            let error = text(&spans[0], "error.type");
            assert_eq!(error.is_none(), is_complete, "{closes}: {error:?}");
            assert_eq!(integer(&spans[0], "http.response.status_code"), Some(200));
            let answered = [("status", "200")];
            assert_eq!(telemetry.sum("http_client_requests_total", &answered), 1.0);
        }
    }
}
