//! The content type and the headers of a request.

use http::{HeaderName, Method, Request, header};
use http_body_util::{BodyExt, Empty};
use suite_tests::{
    backend::Backend,
    grpc_calls::{
        assert_grpc_attributes, client, path, server, server_and_client_spans, single_span,
    },
    grpc_service::StringCodec,
    net::{ClientConnection, Http},
    telemetry::{TestTelemetry, attribute, integer, text},
};
use tonic::metadata::MetadataValue;
use tower_otel_trace::TraceLayer;

#[tokio::test]
async fn requests_of_another_content_type_are_recorded_as_http() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let to = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{to}/shop.Cart/Unary"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Empty::new())
            .unwrap();
        let mut connection = ClientConnection::connect(Http::Two, to).await;
        let response = connection.send(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        let span = single_span(&telemetry, backend).await;
        assert_eq!(span.name, "POST");
        assert_eq!(text(&span, "url.path").as_deref(), Some("/shop.Cart/Unary"));
        assert!(integer(&span, "http.response.status_code").is_some());
        assert_eq!(attribute(&span, "rpc.system.name"), None);
    }
}

#[tokio::test]
async fn captured_headers_of_a_call_are_recorded() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let tenant = HeaderName::from_static("x-tenant");
        let layer = TraceLayer::server()
            .grpc()
            .personal_data(false)
            .capture_request_headers([tenant])
            .capture_response_headers([header::CONTENT_TYPE]);
        let to = server(&telemetry, backend, layer).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
        client.ready().await.unwrap();
        let mut request = tonic::Request::new("ok".to_owned());
        let value = MetadataValue::from_static("acme");
        request.metadata_mut().insert("x-tenant", value);
        client
            .unary(request, path("Unary"), StringCodec)
            .await
            .unwrap();
        let (server, _) = server_and_client_spans(&telemetry, backend).await;
        assert_grpc_attributes(&server);
        for (key, value) in [
            ("rpc.request.header.x-tenant", r#"["acme"]"#),
            (
                "rpc.response.header.content-type",
                r#"["application/grpc"]"#,
            ),
        ] {
            let values = attribute(&server, key).unwrap();
            assert_eq!(values.to_string(), value);
        }
        assert_eq!(attribute(&server, "network.peer.address"), None);
    }
}
