//! gRPC calls between a tonic server and a channel, and checks of their spans.

use std::{collections::HashSet, net::SocketAddr};

use http::{Request, Response, uri::PathAndQuery};
use opentelemetry::trace::{SpanId, SpanKind, Status as SpanStatus};
use opentelemetry_sdk::trace::SpanData;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Status,
    body::Body,
    client::Grpc,
    transport::{Endpoint, Server},
};
use tower::{ServiceBuilder, ServiceExt, util::BoxService};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    backend::Backend,
    grpc_service::{CartService, StringCodec},
    keys::assert_valid_span,
    net::BoxError,
    telemetry::{TestTelemetry, attribute, text},
};

pub type Client = Grpc<BoxService<Request<Body>, Response<Body>, BoxError>>;

/// The expected status and `error.type` of a span.
pub type ExpectedStatus = (&'static str, Option<&'static str>);

pub const OK: ExpectedStatus = ("OK", None);
pub const CANCELLED: ExpectedStatus = ("CANCELLED", None);
pub const CANCELLED_ON_CLIENT: ExpectedStatus = ("CANCELLED", Some("CANCELLED"));

pub async fn listen() -> (SocketAddr, TcpListenerStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, TcpListenerStream::new(listener))
}

/// Starts a tonic server behind a layer.
pub async fn server(telemetry: &TestTelemetry, backend: Backend, layer: TraceLayer) -> SocketAddr {
    serve_service(telemetry, backend, layer, CartService::default()).await
}

pub async fn serve_service(
    telemetry: &TestTelemetry,
    backend: Backend,
    layer: TraceLayer,
    service: CartService,
) -> SocketAddr {
    let (address, incoming) = listen().await;
    tokio::spawn(
        Server::builder()
            .layer(backend.layer(telemetry.source(), layer))
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    address
}

/// Returns a channel behind the layers.
pub fn client(
    telemetry: &TestTelemetry,
    backend: Backend,
    layer: TraceLayer,
    to: SocketAddr,
) -> Client {
    let uri = format!("http://{to}");
    let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(backend.layer(telemetry.source(), layer))
        .layer(PropagateLayer::new())
        .service(channel)
        .map_err(BoxError::from)
        .boxed();
    Grpc::with_origin(service, uri.parse().unwrap())
}

pub fn path(method: &str) -> PathAndQuery {
    format!("/shop.Cart/{method}").parse().unwrap()
}

pub async fn unary(
    client: &mut Client,
    path: PathAndQuery,
    message: &str,
) -> Result<String, Status> {
    client.ready().await.unwrap();
    let request = tonic::Request::new(message.to_owned());
    let response = client.unary(request, path, StringCodec).await?;
    Ok(response.into_inner())
}

/// Returns the server and the client span. Checks that they form one trace.
pub async fn server_and_client_spans(
    telemetry: &TestTelemetry,
    backend: Backend,
) -> (SpanData, SpanData) {
    telemetry
        .wait_until("both spans have ended", |telemetry| {
            telemetry.spans().len() >= 2
        })
        .await;
    let spans = telemetry.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    for span in &spans {
        assert_valid_span(span, backend);
    }
    let of = |kind| spans.iter().find(|span| span.span_kind == kind).unwrap();
    let (server, client) = (of(SpanKind::Server), of(SpanKind::Client));
    assert_eq!(client.parent_span_id, SpanId::INVALID);
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    assert_eq!(
        server.span_context.trace_id(),
        client.span_context.trace_id()
    );
    (server.clone(), client.clone())
}

pub async fn single_span(telemetry: &TestTelemetry, backend: Backend) -> SpanData {
    telemetry
        .wait_until("the call ends", |telemetry| !telemetry.spans().is_empty())
        .await;
    let spans = telemetry.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_valid_span(&spans[0], backend);
    spans[0].clone()
}

pub fn assert_status(span: &SpanData, (status, error): ExpectedStatus) {
    let kind = &span.span_kind;
    assert_eq!(
        text(span, "rpc.status_code").as_deref(),
        Some(status),
        "{kind:?}"
    );
    assert_eq!(text(span, "error.type").as_deref(), error, "{kind:?}");
    let expected = match error {
        Some(_) => SpanStatus::error(""),
        None => SpanStatus::Unset,
    };
    assert_eq!(span.status, expected, "{kind:?} {status}");
}

/// Checks that a span has the attributes of gRPC, none of HTTP and no duplicates.
pub fn assert_grpc_attributes(span: &SpanData) {
    assert_eq!(text(span, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(attribute(span, "rpc.response.status_code"), None);
    let mut seen = HashSet::new();
    for attribute in &span.attributes {
        let key = attribute.key.as_str();
        assert!(
            !key.starts_with("http.") && !key.starts_with("url."),
            "{key}"
        );
        assert!(seen.insert(key), "{key} is duplicated");
    }
}
