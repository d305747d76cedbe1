//! WebSocket over HTTP/2, by the extended `CONNECT` of RFC 8441: the layers do not change the tunnel,
//! and the exchange ends at its handshake.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, ext::Protocol};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use opentelemetry::trace::{SpanKind, Status};
use suite_tests::{
    backend::Backend,
    telemetry::{TestTelemetry, integer, text, with_timeout},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// Accepts every tunnel and echoes the received data.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    if request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut tunnel = TokioIo::new(upgrade.await.unwrap());
            let mut received = [0; 4];
            while tunnel.read_exact(&mut received).await.is_ok() {
                tunnel.write_all(&received).await.unwrap();
            }
        });
    }
    Ok(Response::new(Empty::new()))
}

fn serve(telemetry: &TestTelemetry, backend: Backend, io: DuplexStream) {
    let server = ServiceBuilder::new()
        .layer(backend.layer(telemetry.source(), TraceLayer::server()))
        .layer(MetricsLayer::server())
        .service(service_fn(echo));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(server));
    tokio::spawn(connection);
}

#[tokio::test]
async fn a_websocket_over_http2_ends_at_its_handshake_and_its_tunnel_works() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let (near, far) = duplex(1 << 16);
        serve(&telemetry, backend, far);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
                .await
                .unwrap();
        tokio::spawn(connection);
        let client = ServiceBuilder::new()
            .layer(backend.layer(telemetry.source(), TraceLayer::client()))
            .layer(MetricsLayer::client())
            .layer(PropagateLayer::new())
            .service(service_fn(move |request: Request<Empty<Bytes>>| {
                let mut sender = sender.clone();
                async move { sender.send_request(request).await }
            }));

        // The first response comes after the settings that allow the protocol.
        let request = Request::get("http://chat.example/").body(Empty::new());
        let response = client.clone().oneshot(request.unwrap());
        let response = with_timeout("a response", response).await.unwrap();
        response.into_body().collect().await.unwrap();

        let request = Request::connect("http://chat.example/room")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::new());
        let response = client.oneshot(request.unwrap());
        let mut response = with_timeout("the handshake", response).await.unwrap();
        assert_eq!(response.status(), 200);
        let upgraded = hyper::upgrade::on(&mut response);
        let mut tunnel = TokioIo::new(with_timeout("the tunnel", upgraded).await.unwrap());
        let mut received = [0; 4];
        for message in [b"ping", b"pong"] {
            tunnel.write_all(message).await.unwrap();
            let read = tunnel.read_exact(&mut received);
            with_timeout("the echo", read).await.unwrap();
            assert_eq!(&received, message);
        }

        // The tunnel is still open.
        for (kind, prefix) in [
            (SpanKind::Server, "http_"),
            (SpanKind::Client, "http_client_"),
        ] {
            let sum = |name| telemetry.sum(&format!("{prefix}{name}"), &[]);
            assert_eq!(sum("requests_in_flight"), 0.0, "{backend:?} {kind:?}");
            assert_eq!(sum("requests_total"), 2.0, "{backend:?} {kind:?}");
            let spans = telemetry.spans();
            let mut tunnels = spans.iter().filter(|span| {
                span.span_kind == kind
                    && text(span, "http.request.method").as_deref() == Some("CONNECT")
            });
            let span = tunnels.next().unwrap();
            assert!(tunnels.next().is_none());
            assert_eq!(integer(span, "http.response.status_code"), Some(200));
            assert_eq!(text(span, "error.type"), None);
            assert_eq!(span.status, Status::Unset);
        }
    }
}
