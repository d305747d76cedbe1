//! Calls over a real tonic server and channel, told by both ends and by every kind of spans.

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
    calls::{
        CANCELLED, Client, OK, Told, both, client, is_grpc, is_told, listen, only, path,
        serve_cart, server, unary,
    },
    cart::{Cart, Text},
    net::{BoxError, Http, Wire, serve},
    scene::{Scene, attribute, integer, text, within},
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
use tower_otel_semconv::rpc::StatusAttribute;
use tower_otel_trace::TraceLayer;

/// Makes one call, and checks what both ends have told of it.
async fn call(method: &str, by: impl AsyncFn(Client), server_told: Told, client_told: Told) {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let to = server(&scene, backend, TraceLayer::server().grpc()).await;
        by(client(&scene, backend, TraceLayer::client().grpc(), to)).await;
        let (server, client) = both(&scene, backend).await;
        for (span, told) in [(&server, server_told), (&client, client_told)] {
            assert_eq!(span.name, format!("shop.Cart/{method}"), "{span:#?}");
            assert_eq!(
                text(span, "rpc.method"),
                Some(format!("shop.Cart/{method}"))
            );
            assert_eq!(attribute(span, "rpc.method_original"), None);
            is_told(span, told);
            is_grpc(span);
            assert_eq!(text(span, "server.address").as_deref(), Some("127.0.0.1"));
            assert_eq!(integer(span, "server.port"), Some(to.port().into()));
        }
        let peer = text(&server, "network.peer.address");
        assert_eq!(peer.as_deref(), Some("127.0.0.1"));
        assert!(integer(&server, "network.peer.port").is_some());
    }
}

#[tokio::test]
async fn a_unary_call() {
    let by = async |mut client: Client| {
        let answer = unary(&mut client, path("Unary"), "ok").await.unwrap();
        assert_eq!(answer, "ok");
    };
    call("Unary", by, OK, OK).await;
}

#[tokio::test]
async fn every_error_is_the_clients_and_some_are_the_servers() {
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
        // The answer has no body: its head is all there is.
        let by = async |mut client: Client| {
            let answer = unary(&mut client, path("Unary"), &code.to_string()).await;
            assert_eq!(answer.unwrap_err().code(), Code::from(code));
        };
        let server = (name, is_servers.then_some(name));
        call("Unary", by, server, (name, Some(name))).await;
    }
}

#[tokio::test]
async fn a_server_that_streams() {
    let by = async |mut client: Client| {
        client.ready().await.unwrap();
        let request = tonic::Request::new("ok".to_owned());
        let answers = client.server_streaming(request, path("Server"), Text).await;
        let mut answers = answers.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "a");
        assert_eq!(answers.message().await.unwrap().unwrap(), "ok");
        assert_eq!(answers.message().await.unwrap(), None);
    };
    call("Server", by, OK, OK).await;
}

#[tokio::test]
async fn a_server_that_streams_and_ends_with_an_error_in_its_trailers() {
    for (code, name, is_servers) in [(5, "NOT_FOUND", false), (15, "DATA_LOSS", true)] {
        let by = async |mut client: Client| {
            client.ready().await.unwrap();
            let request = tonic::Request::new(code.to_string());
            let answers = client.server_streaming(request, path("Server"), Text).await;
            let mut answers = answers.unwrap().into_inner();
            assert_eq!(answers.message().await.unwrap().unwrap(), "a");
            let status = answers.message().await.unwrap_err();
            assert_eq!(status.code(), Code::from(code));
        };
        let server = (name, is_servers.then_some(name));
        call("Server", by, server, (name, Some(name))).await;
    }
}

#[tokio::test]
async fn a_client_that_streams() {
    let by = async |mut client: Client| {
        client.ready().await.unwrap();
        let messages = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
        let request = tonic::Request::new(messages);
        let answer = client.client_streaming(request, path("Client"), Text).await;
        assert_eq!(answer.unwrap().into_inner(), "b");
    };
    call("Client", by, OK, OK).await;
}

#[tokio::test]
async fn both_stream() {
    let by = async |mut client: Client| {
        client.ready().await.unwrap();
        let messages = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
        let request = tonic::Request::new(messages);
        let answers = client.streaming(request, path("Bidi"), Text).await;
        let mut answers = answers.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "a");
        assert_eq!(answers.message().await.unwrap().unwrap(), "b");
        assert_eq!(answers.message().await.unwrap(), None);
    };
    call("Bidi", by, OK, OK).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_no_error() {
    let by = async |mut client: Client| {
        client.ready().await.unwrap();
        let request = tonic::Request::new("stall".to_owned());
        let answers = client.server_streaming(request, path("Server"), Text).await;
        let mut answers = answers.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "a");
    };
    call("Server", by, CANCELLED, CANCELLED).await;
}

#[tokio::test]
async fn a_client_that_gives_up_before_the_answer_is_no_error() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let cart = Cart::default();
        let layer = TraceLayer::server().grpc();
        let to = serve_cart(&scene, backend, layer, cart.clone()).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
        tokio::select! {
            _ = unary(&mut client, path("Unary"), "stall") => panic!("nobody answers"),
            () = within("the call arrives", cart.called.notified()) => {}
        }
        let (server, client) = both(&scene, backend).await;
        is_told(&server, CANCELLED);
        is_told(&client, CANCELLED);
    }
}

#[tokio::test]
async fn a_deadline_that_is_over_is_an_error() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let to = server(&scene, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
        // The time to connect is the client's alone.
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        client.ready().await.unwrap();
        let mut request = tonic::Request::new(tokio_stream::once("stall".to_owned()));
        request.set_timeout(Duration::from_millis(500));
        let answer = client.client_streaming(request, path("Client"), Text).await;
        answer.unwrap_err();
        scene
            .until("both calls end", |scene| scene.spans().len() >= 4)
            .await;
        for span in scene.spans() {
            let late = "DEADLINE_EXCEEDED";
            match (span.span_kind.clone(), &*span.name) {
                (SpanKind::Server, "shop.Cart/Client") => is_told(&span, (late, Some(late))),
                (SpanKind::Client, "shop.Cart/Client") => is_told(&span, (late, Some("timeout"))),
                _ => is_told(&span, OK),
            }
        }
    }
}

#[tokio::test]
async fn a_handler_that_panics() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let to = server(&scene, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
        let status = unary(&mut client, path("Unary"), "panic")
            .await
            .unwrap_err();
        let (server, client) = both(&scene, backend).await;
        is_told(&server, ("UNKNOWN", Some("panic")));
        // The connection is gone with the handler; how tonic sees that is its own affair.
        assert_ne!(text(&client, "error.type"), None, "{status:?}");
    }
}

#[tokio::test]
async fn what_a_server_does_not_have_gives_no_span_its_name() {
    for wanted in ["/shop.Cart/Nope", "/a.B/C", "/not/a/method"] {
        for backend in Backend::ALL {
            let scene = Scene::new();
            let to = server(&scene, backend, TraceLayer::server().grpc()).await;
            let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
            let wanted_path = PathAndQuery::from_static(wanted);
            let status = unary(&mut client, wanted_path, "ok").await.unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented);
            let (server, client) = both(&scene, backend).await;
            let unimplemented = ("UNIMPLEMENTED", Some("UNIMPLEMENTED"));
            for span in [&server, &client] {
                is_told(span, unimplemented);
                is_grpc(span);
            }
            let method = wanted.trim_start_matches('/');
            assert_eq!(server.name, "grpc");
            assert_eq!(text(&server, "rpc.method").as_deref(), Some("_OTHER"));
            let original = text(&server, "rpc.method_original");
            assert_eq!(original.as_deref(), Some(method));
            if wanted != "/not/a/method" {
                assert_eq!(client.name, method);
                assert_eq!(text(&client, "rpc.method").as_deref(), Some(method));
            }
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let to = listen().await.0;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
        unary(&mut client, path("Unary"), "ok").await.unwrap_err();
        let span = only(&scene, backend).await;
        is_told(&span, ("UNAVAILABLE", Some("connection_refused")));
        is_grpc(&span);
    }
}

#[tokio::test]
async fn an_answer_without_a_status_is_not_ok() {
    for (http, name) in [
        (StatusCode::OK, "UNKNOWN"),
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        (StatusCode::NOT_FOUND, "UNIMPLEMENTED"),
    ] {
        for backend in Backend::ALL {
            let scene = Scene::new();
            let to = serve(service_fn(move |_| async move {
                let mut response = Response::new(Empty::<bytes::Bytes>::new());
                *response.status_mut() = http;
                Ok::<_, BoxError>(response)
            }))
            .await;
            let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
            unary(&mut client, path("Unary"), "ok").await.unwrap_err();
            let span = only(&scene, backend).await;
            is_told(&span, (name, Some(name)));
            assert_eq!(span.name, "shop.Cart/Unary");
        }
    }
}

#[tokio::test]
async fn what_is_not_grpc_is_http() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let to = server(&scene, backend, TraceLayer::server().grpc()).await;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{to}/shop.Cart/Unary"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Empty::new())
            .unwrap();
        let mut wire = Wire::connect(Http::Two, to).await;
        let response = wire.send(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        let span = only(&scene, backend).await;
        assert_eq!(span.name, "POST");
        assert_eq!(text(&span, "url.path").as_deref(), Some("/shop.Cart/Unary"));
        assert!(integer(&span, "http.response.status_code").is_some());
        assert_eq!(attribute(&span, "rpc.system.name"), None);
    }
}

#[tokio::test]
async fn one_switch_moves_the_status() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let moved = StatusAttribute::RpcStatusCode;
        let layer = TraceLayer::server().grpc_status_attribute(moved);
        let to = server(&scene, backend, layer).await;
        let layer = TraceLayer::client().grpc().grpc_status_attribute(moved);
        let mut client = client(&scene, backend, layer, to);
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        let (server, client) = both(&scene, backend).await;
        for span in [server, client] {
            assert_eq!(text(&span, "rpc.status_code").as_deref(), Some("OK"));
            assert_eq!(attribute(&span, "rpc.response.status_code"), None);
        }
    }
}

#[tokio::test]
async fn metadata_that_was_asked_for_is_recorded_as_such() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let tenant = HeaderName::from_static("x-tenant");
        let layer = TraceLayer::server()
            .grpc()
            .personal_data(false)
            .capture_request_headers([tenant])
            .capture_response_headers([header::CONTENT_TYPE]);
        let to = server(&scene, backend, layer).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), to);
        client.ready().await.unwrap();
        let mut request = tonic::Request::new("ok".to_owned());
        let value = MetadataValue::from_static("acme");
        request.metadata_mut().insert("x-tenant", value);
        client.unary(request, path("Unary"), Text).await.unwrap();
        let (server, _) = both(&scene, backend).await;
        is_grpc(&server);
        for (key, value) in [
            ("rpc.request.metadata.x-tenant", r#"["acme"]"#),
            (
                "rpc.response.metadata.content-type",
                r#"["application/grpc"]"#,
            ),
        ] {
            let values = attribute(&server, key).unwrap();
            assert_eq!(values.to_string(), value);
        }
        assert_eq!(attribute(&server, "network.peer.address"), None);
    }
}

/// A client as people write it: nothing is boxed, and the types fit.
#[tokio::test]
async fn a_call_made_inside_of_a_call_belongs_to_its_trace() {
    let scene = Scene::new();
    let to = server(&scene, Backend::Tracing, TraceLayer::server().grpc()).await;
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
            client.unary(request, path("Unary"), Text).await?;
            Ok::<_, BoxError>(Status::ok("").into_http::<Body>())
        }
    });
    let front = serve(TraceLayer::server().grpc().layer(relay)).await;
    let mut client = client(&scene, Backend::Tracing, TraceLayer::client().grpc(), front);
    // The relay answers without a message, which a unary client does not like.
    let _ = within(
        "the call ends",
        unary(&mut client, path("Relay"), "anything"),
    )
    .await;
    scene
        .until("all four tell", |scene| scene.spans().len() == 4)
        .await;
    let spans = scene.spans();
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
