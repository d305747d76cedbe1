//! WebSockets of axum over sockets, by the upgrade of HTTP/1.1 and by the extended `CONNECT` of HTTP/2.
//! Each is recorded as one request, and as a connection that is counted and has a span until it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{
        WebSocketUpgrade,
        ws::{Message as Received, WebSocket},
    },
    response::Response,
    routing::{any, get},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    net::Http,
    server::send_raw,
    telemetry::{TestTelemetry, integer, text, with_convention_names, with_timeout},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::Role},
};
use tower_otel_core::{LongLived, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client sends a close frame.
    ClientCloses,
    /// The client's process ends without a close frame.
    ClientDrops,
    HandlerReturns,
    HandlerPanics,
}

const ENDS: [End; 4] = [
    End::ClientCloses,
    End::ClientDrops,
    End::HandlerReturns,
    End::HandlerPanics,
];

/// The handler in the documentation of `LongLived`.
async fn chat(upgrade: WebSocketUpgrade) -> Response {
    let connection = LongLived::default();
    let extension = connection.clone();
    let mut response = upgrade.on_upgrade(|socket| connection.run(talk(socket)));
    response.extensions_mut().insert(extension);
    response
}

/// Echoes messages until one is `return` or `panic`.
async fn talk(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Received::Text(message) = message else {
            continue;
        };
        tracing::info_span!("message").in_scope(|| {});
        assert!(message != "panic", "the connection");
        if message == "return" || socket.send(Received::Text(message)).await.is_err() {
            return;
        }
    }
}

async fn serve(telemetry: &TestTelemetry, backend: Backend) -> SocketAddr {
    let trace = backend.layer(telemetry.source(), TraceLayer::server());
    let metrics = (
        MetricsLayer::server(),
        with_convention_names(MetricsLayer::server()),
    );
    let app = Router::new()
        .route("/rooms/{id}", any(chat))
        .route("/ping", get(async || "pong"))
        .layer(observe((trace, metrics)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A client with its connection.
struct Client {
    socket: WebSocketStream<Box<dyn Io>>,
    connection: Option<JoinHandle<()>>,
}

async fn connect(address: SocketAddr, http: Http) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    if http == Http::One {
        let url = format!("ws://{address}/rooms/7");
        let (socket, _) = client_async(url, Box::new(stream) as Box<dyn Io>)
            .await
            .unwrap();
        return Client {
            socket,
            connection: None,
        };
    }
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    // The first response comes after the settings that allow the protocol.
    let ping = Request::get(format!("http://{address}/ping")).body(Empty::<Bytes>::new());
    let response = sender.send_request(ping.unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap();
    let request = Request::connect(format!("http://{address}/rooms/7"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let io: Box<dyn Io> = Box::new(TokioIo::new(upgraded));
    Client {
        socket: WebSocketStream::from_raw_socket(io, Role::Client, None).await,
        connection: Some(connection),
    }
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

async fn assert_end(backend: Backend, http: Http, end: End) {
    let case = format!("{backend:?} {http:?} {end:?}");
    let (method, status) = match http {
        Http::One => ("GET", "101"),
        Http::Two => ("CONNECT", "200"),
    };
    let telemetry = TestTelemetry::new();
    let address = serve(&telemetry, backend).await;
    let mut client = with_timeout("the handshake", connect(address, http)).await;
    client.socket.send(Message::text("hello")).await.unwrap();
    let echo = with_timeout("the echo", client.socket.next()).await;
    assert_eq!(echo.unwrap().unwrap(), Message::text("hello"), "{case}");

    let open = |telemetry: &TestTelemetry| {
        let short = telemetry.sum("http_streams_open", &[("method", method)]);
        let all = telemetry.sum("http_streams_open", &[]);
        let conventions = telemetry.sum("conventions_http_server_open_streams", &[]);
        assert_eq!((short, all), (conventions, conventions), "{case}");
        short
    };
    let requests = |telemetry: &TestTelemetry| {
        let labels = [("method", method), ("path", "/rooms/{id}")];
        let all = telemetry.sum("http_requests_total", &labels);
        let with_status = [labels[0], labels[1], ("status", status)];
        let counted = telemetry.sum("http_requests_total", &with_status);
        let timed = telemetry.sum("http_request_duration_seconds_count", &labels);
        assert_eq!((all, counted), (timed, timed), "{case}");
        all
    };
    assert_eq!(open(&telemetry), 1.0, "{case}");
    assert_eq!(requests(&telemetry), 1.0, "{case}");
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0, "{case}");
    assert!(
        named(&telemetry.spans(), "upgraded connection").is_empty(),
        "{case}"
    );

    match end {
        End::ClientCloses => client.socket.close(None).await.unwrap(),
        End::ClientDrops => {}
        End::HandlerReturns => client.socket.send(Message::text("return")).await.unwrap(),
        End::HandlerPanics => client.socket.send(Message::text("panic")).await.unwrap(),
    }
    if end == End::ClientDrops {
        drop(client.socket);
        if let Some(connection) = client.connection {
            connection.abort();
        }
    }
    telemetry
        .wait_until("the connection ends", |telemetry| {
            open(telemetry) == 0.0 && !named(&telemetry.spans(), "upgraded connection").is_empty()
        })
        .await;
    assert_eq!(requests(&telemetry), 1.0, "{case}");
    assert_eq!(
        telemetry.sum("http_responses_aborted_total", &[]),
        0.0,
        "{case}"
    );

    let spans = telemetry.spans();
    let request = named(&spans, &format!("{method} /rooms/{{id}}"));
    let connection = named(&spans, "upgraded connection");
    let message = named(&spans, "message");
    let ([request], [connection]) = (&*request, &*connection) else {
        panic!("{case}: {spans:#?}");
    };
    assert_eq!(request.span_kind, SpanKind::Server, "{case}");
    assert_eq!(request.status, Status::Unset, "{case}");
    let code = integer(request, "http.response.status_code");
    assert_eq!(code, status.parse().ok(), "{case}");
    assert_eq!(connection.span_kind, SpanKind::Internal, "{case}");
    let links: Vec<_> = connection.links.iter().collect();
    assert_eq!(links.len(), 1, "{case}");
    assert_eq!(links[0].span_context, request.span_context, "{case}");
    let error = text(connection, "error.type");
    let panics = end == End::HandlerPanics;
    assert_eq!(error.as_deref(), panics.then_some("panic"), "{case}");
    assert_eq!(connection.status != Status::Unset, panics, "{case}");
    assert!(connection.end_time >= request.end_time, "{case}");
    for message in message {
        let parent = connection.span_context.span_id();
        assert_eq!(message.parent_span_id, parent, "{case}");
    }
}

#[tokio::test]
async fn a_websocket_is_one_request_and_an_open_connection_until_it_ends() {
    for backend in Backend::ALL {
        for http in [Http::One, Http::Two] {
            for end in ENDS {
                assert_end(backend, http, end).await;
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_is_no_handshake_opens_no_connection() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let address = serve(&telemetry, backend).await;
        for (headers, status) in [
            ("", "400"),
            ("\nconnection: upgrade\nupgrade: echo", "400"),
            (
                "\nconnection: upgrade\nupgrade: websocket\nsec-websocket-version: 12\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
                "400",
            ),
        ] {
            let request = format!("GET /rooms/7 HTTP/1.1\nhost: a{headers}");
            let (head, _) = send_raw(address, &request).await;
            assert!(head.contains(status), "{headers}: {head}");
        }
        telemetry
            .wait_until("the requests end", |telemetry| {
                telemetry.sum("http_requests_total", &[("status", "400")]) == 3.0
            })
            .await;
        assert_eq!(telemetry.sum("http_streams_open", &[]), 0.0);
        assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0);
        assert!(named(&telemetry.spans(), "upgraded connection").is_empty());
    }
}
