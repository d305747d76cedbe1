//! A call or a stream that the client drops.

use suite_tests::{
    backend::Backend,
    grpc_calls::{
        CANCELLED, CANCELLED_ON_CLIENT, Client, assert_status, client, path, serve_service,
        server_and_client_spans, unary,
    },
    grpc_service::{CartService, StringCodec},
    telemetry::{TestTelemetry, with_timeout},
};
use tower_otel_trace::TraceLayer;

use crate::calls::call;

#[tokio::test]
async fn a_stream_dropped_by_the_client_is_an_error_of_the_client_only() {
    let make_call = async |mut client: Client| {
        client.ready().await.unwrap();
        let request = tonic::Request::new("stall".to_owned());
        let responses = client
            .server_streaming(request, path("Server"), StringCodec)
            .await;
        let mut responses = responses.unwrap().into_inner();
        assert_eq!(responses.message().await.unwrap().unwrap(), "a");
    };
    call("Server", make_call, CANCELLED, CANCELLED_ON_CLIENT).await;
}

#[tokio::test]
async fn a_call_dropped_before_the_response_is_an_error_of_the_client_only() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let service = CartService::default();
        let layer = TraceLayer::server().grpc();
        let to = serve_service(&telemetry, backend, layer, service.clone()).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
        tokio::select! {
            _ = unary(&mut client, path("Unary"), "stall") => panic!("unexpected response"),
            () = with_timeout("the call arrives", service.called.notified()) => {}
        }
        let (server, client) = server_and_client_spans(&telemetry, backend).await;
        assert_status(&server, CANCELLED);
        assert_status(&client, CANCELLED_ON_CLIENT);
    }
}
