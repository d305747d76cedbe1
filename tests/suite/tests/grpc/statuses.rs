//! The status of a call and where it is an error.

use std::time::Duration;

use http::{Response, StatusCode, uri::PathAndQuery};
use http_body_util::Empty;
use suite_tests::{
    backend::Backend,
    grpc_calls::{
        CANCELLED_ON_CLIENT, Client, OK, assert_grpc_attributes, assert_status, client, listen,
        path, server, server_and_client_spans, single_span, unary,
    },
    grpc_service::StringCodec,
    net::{BoxError, serve},
    telemetry::{TestTelemetry, attribute, text},
};
use tonic::Code;
use tower::service_fn;
use tower_otel_trace::TraceLayer;

use crate::calls::call;

#[tokio::test]
async fn every_status_but_ok_is_a_client_error_and_some_are_server_errors() {
    for (code, name, is_servers) in [
        (1, "CANCELLED", false),
        (2, "UNKNOWN", true),
        (3, "INVALID_ARGUMENT", false),
        (4, "DEADLINE_EXCEEDED", true),
        (5, "NOT_FOUND", false),
        (6, "ALREADY_EXISTS", false),
        (7, "PERMISSION_DENIED", false),
        (8, "RESOURCE_EXHAUSTED", false),
        (9, "FAILED_PRECONDITION", false),
        (10, "ABORTED", false),
        (11, "OUT_OF_RANGE", false),
        (13, "INTERNAL", true),
        (14, "UNAVAILABLE", true),
        (15, "DATA_LOSS", true),
        (16, "UNAUTHENTICATED", false),
    ] {
        // The response has only a head.
        let make_call = async |mut client: Client| {
            let response = unary(&mut client, path("Unary"), &code.to_string()).await;
            assert_eq!(response.unwrap_err().code(), Code::from(code));
        };
        let server = (name, is_servers.then_some(name));
        call("Unary", make_call, server, (name, Some(name))).await;
    }
}

#[tokio::test]
async fn the_status_in_the_trailers_of_a_server_stream_is_recorded() {
    for (code, name, is_servers) in [(5, "NOT_FOUND", false), (15, "DATA_LOSS", true)] {
        let make_call = async |mut client: Client| {
            client.ready().await.unwrap();
            let request = tonic::Request::new(code.to_string());
            let responses = client
                .server_streaming(request, path("Server"), StringCodec)
                .await;
            let mut responses = responses.unwrap().into_inner();
            assert_eq!(responses.message().await.unwrap().unwrap(), "a");
            let status = responses.message().await.unwrap_err();
            assert_eq!(status.code(), Code::from(code));
        };
        let server = (name, is_servers.then_some(name));
        call("Server", make_call, server, (name, Some(name))).await;
    }
}

#[tokio::test]
async fn an_exceeded_deadline_is_an_error() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let to = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
        // Connect first, because only the client measures the time to connect.
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        client.ready().await.unwrap();
        let mut request = tonic::Request::new(tokio_stream::once("stall".to_owned()));
        request.set_timeout(Duration::from_millis(500));
        let response = client
            .client_streaming(request, path("Client"), StringCodec)
            .await;
        response.unwrap_err();
        telemetry
            .wait_until("both calls end", |telemetry| telemetry.spans().len() >= 4)
            .await;
        for span in telemetry.spans() {
            let status = "DEADLINE_EXCEEDED";
            match &*span.name {
                "shop.Cart/Client" => assert_status(&span, (status, Some(status))),
                _ => assert_status(&span, OK),
            }
        }
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_an_error() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let to = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
        let status = unary(&mut client, path("Unary"), "panic")
            .await
            .unwrap_err();
        let (server, client) = server_and_client_spans(&telemetry, backend).await;
        assert_status(&server, ("UNKNOWN", Some("panic")));
        // The panic resets the stream.
        assert_eq!(status.code(), Code::Cancelled, "{status:?}");
        assert_status(&client, CANCELLED_ON_CLIENT);
    }
}

#[tokio::test]
async fn an_unimplemented_method_is_not_a_server_span_name() {
    for method_path in ["/shop.Cart/Nope", "/a.B/C", "/not/a/method"] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let to = server(&telemetry, backend, TraceLayer::server().grpc()).await;
            let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
            let wanted_path = PathAndQuery::from_static(method_path);
            let status = unary(&mut client, wanted_path, "ok").await.unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented);
            let (server, client) = server_and_client_spans(&telemetry, backend).await;
            let unimplemented = ("UNIMPLEMENTED", Some("UNIMPLEMENTED"));
            for span in [&server, &client] {
                assert_status(span, unimplemented);
                assert_grpc_attributes(span);
            }
            let method = method_path.trim_start_matches('/');
            assert_eq!(server.name, "grpc");
            assert_eq!(text(&server, "rpc.method").as_deref(), Some("_OTHER"));
            let original = text(&server, "rpc.method_original");
            assert_eq!(original.as_deref(), Some(method));
            if method_path != "/not/a/method" {
                assert_eq!(client.name, method);
                assert_eq!(text(&client, "rpc.method").as_deref(), Some(method));
            }
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let to = listen().await.0;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
        unary(&mut client, path("Unary"), "ok").await.unwrap_err();
        let span = single_span(&telemetry, backend).await;
        assert_status(&span, ("UNAVAILABLE", Some("connection_refused")));
        assert_grpc_attributes(&span);
    }
}

#[tokio::test]
async fn a_response_without_a_grpc_status_is_not_ok() {
    for (http, name) in [
        (StatusCode::OK, "UNKNOWN"),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        (StatusCode::NOT_FOUND, "UNIMPLEMENTED"),
    ] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let to = serve(service_fn(move |_| async move {
                let mut response = Response::new(Empty::<bytes::Bytes>::new());
                *response.status_mut() = http;
                Ok::<_, BoxError>(response)
            }))
            .await;
            let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), to);
            unary(&mut client, path("Unary"), "ok").await.unwrap_err();
            let span = single_span(&telemetry, backend).await;
            assert_status(&span, (name, Some(name)));
            assert_eq!(span.name, "shop.Cart/Unary");
        }
    }
}

#[tokio::test]
async fn rpc_response_status_code_is_the_key_of_the_status_before_and_after_grpc() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let layer = TraceLayer::server().rpc_response_status_code().grpc();
        let to = server(&telemetry, backend, layer).await;
        let layer = TraceLayer::client().grpc().rpc_response_status_code();
        let mut client = client(&telemetry, backend, layer, to);
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        let (server, client) = server_and_client_spans(&telemetry, backend).await;
        for span in [server, client] {
            assert_eq!(
                text(&span, "rpc.response.status_code").as_deref(),
                Some("OK")
            );
            assert_eq!(attribute(&span, "rpc.status_code"), None);
        }
    }
}
