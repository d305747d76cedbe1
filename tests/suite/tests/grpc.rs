//! gRPC calls with a real tonic server and channel, recorded by both ends with every span backend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::Duration;

use http::{HeaderName, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty};
use opentelemetry::trace::{SpanId, SpanKind};
use suite_tests::{
    backend::Backend,
    grpc_calls::{
        CANCELLED, CANCELLED_ON_CLIENT, Client, ExpectedStatus, OK, assert_grpc_attributes,
        assert_status, client, listen, path, serve_service, server, server_and_client_spans,
        single_span, unary,
    },
    grpc_service::{CartService, StringCodec},
    net::{BoxError, ClientConnection, Http, serve},
    telemetry::{TestTelemetry, attribute, integer, text, with_timeout},
};
use tonic::{
    Code, Status,
    body::Body,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tower::{Layer, ServiceBuilder, service_fn};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// Makes one call and checks the spans of both ends.
async fn call(
    method: &str,
    make_call: impl AsyncFn(Client),
    expected_server: ExpectedStatus,
    expected_client: ExpectedStatus,
) {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let to = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        make_call(client(&telemetry, backend, TraceLayer::client().grpc(), to)).await;
        let (server, client) = server_and_client_spans(&telemetry, backend).await;
        for (span, expected) in [(&server, expected_server), (&client, expected_client)] {
            assert_eq!(span.name, format!("shop.Cart/{method}"), "{span:#?}");
            assert_eq!(
                text(span, "rpc.method"),
                Some(format!("shop.Cart/{method}"))
            );
            assert_eq!(attribute(span, "rpc.method_original"), None);
            assert_status(span, expected);
            assert_grpc_attributes(span);
            assert_eq!(text(span, "server.address").as_deref(), Some("127.0.0.1"));
            assert_eq!(integer(span, "server.port"), Some(to.port().into()));
        }
        let peer = text(&server, "network.peer.address");
        assert_eq!(peer.as_deref(), Some("127.0.0.1"));
        assert!(integer(&server, "network.peer.port").is_some());
    }
}

#[tokio::test]
async fn a_unary_call_is_recorded_by_server_and_client() {
    let make_call = async |mut client: Client| {
        let response = unary(&mut client, path("Unary"), "ok").await.unwrap();
        assert_eq!(response, "ok");
    };
    call("Unary", make_call, OK, OK).await;
}

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
        // The response consists of its head.
        let make_call = async |mut client: Client| {
            let response = unary(&mut client, path("Unary"), &code.to_string()).await;
            assert_eq!(response.unwrap_err().code(), Code::from(code));
        };
        let server = (name, is_servers.then_some(name));
        call("Unary", make_call, server, (name, Some(name))).await;
    }
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
