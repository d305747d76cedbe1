//! Calls of all four kinds.

use http::Request;
use opentelemetry::trace::{SpanId, SpanKind};
use suite_tests::{
    backend::Backend,
    grpc_calls::{Client, OK, client, path, server, unary},
    grpc_service::StringCodec,
    net::{BoxError, serve},
    telemetry::{TestTelemetry, with_timeout},
};
use tonic::{
    Status,
    body::Body,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tower::{Layer, ServiceBuilder, service_fn};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::calls::call;

#[tokio::test]
async fn a_unary_call_is_recorded_by_server_and_client() {
    let make_call = async |mut client: Client| {
        let response = unary(&mut client, path("Unary"), "ok").await.unwrap();
        assert_eq!(response, "ok");
    };
    call("Unary", make_call, OK, OK).await;
}

#[tokio::test]
async fn a_server_stream_is_recorded_by_server_and_client() {
    let make_call = async |mut client: Client| {
        client.ready().await.unwrap();
        let request = tonic::Request::new("ok".to_owned());
        let responses = client
            .server_streaming(request, path("Server"), StringCodec)
            .await;
        let mut responses = responses.unwrap().into_inner();
        assert_eq!(responses.message().await.unwrap().unwrap(), "a");
        assert_eq!(responses.message().await.unwrap().unwrap(), "ok");
        assert_eq!(responses.message().await.unwrap(), None);
    };
    call("Server", make_call, OK, OK).await;
}

#[tokio::test]
async fn a_client_stream_is_recorded_by_server_and_client() {
    let make_call = async |mut client: Client| {
        client.ready().await.unwrap();
        let messages = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
        let request = tonic::Request::new(messages);
        let response = client
            .client_streaming(request, path("Client"), StringCodec)
            .await;
        assert_eq!(response.unwrap().into_inner(), "b");
    };
    call("Client", make_call, OK, OK).await;
}

#[tokio::test]
async fn a_bidirectional_stream_is_recorded_by_server_and_client() {
    let make_call = async |mut client: Client| {
        client.ready().await.unwrap();
        let messages = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
        let request = tonic::Request::new(messages);
        let responses = client.streaming(request, path("Bidi"), StringCodec).await;
        let mut responses = responses.unwrap().into_inner();
        assert_eq!(responses.message().await.unwrap().unwrap(), "a");
        assert_eq!(responses.message().await.unwrap().unwrap(), "b");
        assert_eq!(responses.message().await.unwrap(), None);
    };
    call("Bidi", make_call, OK, OK).await;
}

/// Uses an unboxed client, as applications do.
#[tokio::test]
async fn a_call_made_by_a_handler_belongs_to_the_same_trace() {
    let telemetry = TestTelemetry::new();
    let to = server(&telemetry, Backend::Tracing, TraceLayer::server().grpc()).await;
    let uri: http::Uri = format!("http://{to}").parse().unwrap();
    let channel: Channel = Endpoint::from(uri.clone()).connect_lazy();
    let relay = service_fn(move |_: Request<hyper::body::Incoming>| {
        let service = ServiceBuilder::new()
            .layer(TraceLayer::client().grpc())
            .layer(PropagateLayer::new())
            .service(channel.clone());
        let mut client = Grpc::with_origin(service, uri.clone());
        async move {
            client.ready().await?;
            let request = tonic::Request::new("ok".to_owned());
            client.unary(request, path("Unary"), StringCodec).await?;
            Ok::<_, BoxError>(Status::ok("").into_http::<Body>())
        }
    });
    let front = serve(TraceLayer::server().grpc().layer(relay)).await;
    let mut client = client(
        &telemetry,
        Backend::Tracing,
        TraceLayer::client().grpc(),
        front,
    );
    // The relay responds without a message, which is an error for a unary client.
    let _ = with_timeout(
        "the call ends",
        unary(&mut client, path("Relay"), "anything"),
    )
    .await;
    telemetry
        .wait_until("all four spans have ended", |telemetry| {
            telemetry.spans().len() == 4
        })
        .await;
    let spans = telemetry.spans();
    let mut parent = SpanId::INVALID;
    for (kind, name) in [
        (SpanKind::Client, "shop.Cart/Relay"),
        (SpanKind::Server, "shop.Cart/Relay"),
        (SpanKind::Client, "shop.Cart/Unary"),
        (SpanKind::Server, "shop.Cart/Unary"),
    ] {
        let next = spans
            .iter()
            .find(|span| span.span_kind == kind && span.name == name)
            .unwrap_or_else(|| panic!("{kind:?} {name} in {spans:#?}"));
        assert_eq!(next.parent_span_id, parent);
        assert_eq!(
            next.span_context.trace_id(),
            spans[0].span_context.trace_id()
        );
        parent = next.span_context.span_id();
    }
}
