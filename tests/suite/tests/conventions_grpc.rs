//! The attributes of gRPC spans by the conventions, with a tonic server and channel and every span
//! backend. The ends of calls are tested in `grpc.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeSet, net::SocketAddr};

use http::{HeaderName, Response, header, uri::PathAndQuery};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    grpc_calls::{
        Client, client, listen, path, server, server_and_client_spans, single_span, unary,
    },
    grpc_service::StringCodec,
    keys::{GRPC_KEYS, OPT_INS},
    net::BoxError,
    sampler::RecordingSampler,
    table::{Absent, Int, List, Row, Str, assert_attributes, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tonic::{body::Body, client::Grpc, metadata::MetadataValue, transport::Endpoint};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::PeerAddr;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::filter::LevelFilter;

/// The spans of both ends of a unary call.
struct UnaryCall {
    server: SpanData,
    client: SpanData,
    address: SocketAddr,
}

fn plain(layer: TraceLayer) -> TraceLayer {
    layer.grpc()
}

async fn unary_call(
    backend: Backend,
    layer: fn(TraceLayer) -> TraceLayer,
    message: &str,
) -> UnaryCall {
    let telemetry = TestTelemetry::new();
    let address = server(&telemetry, backend, layer(TraceLayer::server())).await;
    let mut client = client(&telemetry, backend, layer(TraceLayer::client()), address);
    let _ = unary(&mut client, path("Unary"), message).await;
    let (server, client) = server_and_client_spans(&telemetry, backend).await;
    UnaryCall {
        server,
        client,
        address,
    }
}

/// Makes a unary call and checks the attributes of both spans.
async fn table(layer: fn(TraceLayer) -> TraceLayer, message: &str, rows: [&[Row<'_>]; 2]) {
    for backend in Backend::ALL {
        let call = unary_call(backend, layer, message).await;
        for (span, rows) in [&call.server, &call.client].into_iter().zip(rows) {
            assert_span_attributes(span, rows);
        }
    }
}

#[tokio::test]
async fn rpc_system_name_is_grpc() {
    let rows = [("rpc.system.name", Str("grpc"))];
    table(plain, "ok", [&rows, &rows]).await;
}

#[tokio::test]
async fn rpc_method_is_the_full_path_and_the_span_name() {
    for backend in Backend::ALL {
        let call = unary_call(backend, plain, "ok").await;
        for span in [&call.server, &call.client] {
            let rows = [
                ("rpc.method", Str("shop.Cart/Unary")),
                ("rpc.method_original", Absent),
            ];
            assert_span_attributes(span, &rows);
            assert_eq!(span.name, "shop.Cart/Unary");
        }
    }
}

#[tokio::test]
async fn an_unimplemented_method_is_other_on_the_server_and_its_span_is_named_grpc() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let address = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), address);
        let nope = PathAndQuery::from_static("/shop.Cart/Nope");
        unary(&mut client, nope, "ok").await.unwrap_err();
        let (server, client) = server_and_client_spans(&telemetry, backend).await;
        assert_span_attributes(
            &server,
            &[
                ("rpc.method", Str("_OTHER")),
                ("rpc.method_original", Str("shop.Cart/Nope")),
            ],
        );
        assert_eq!(server.name, "grpc");
        // The client records the method that it calls.
        assert_span_attributes(&client, &[("rpc.method", Str("shop.Cart/Nope"))]);
        assert_eq!(client.name, "shop.Cart/Nope");
    }
}

#[tokio::test]
async fn rpc_status_code_is_the_name_of_the_status() {
    for (message, name) in [
        ("ok", "OK"),
        ("5", "NOT_FOUND"),
        ("14", "UNAVAILABLE"),
        ("16", "UNAUTHENTICATED"),
    ] {
        let rows = [
            ("rpc.status_code", Str(name)),
            ("rpc.response.status_code", Absent),
        ];
        table(plain, message, [&rows, &rows]).await;
    }
}

#[tokio::test]
async fn rpc_response_status_code_replaces_rpc_status_code_by_option() {
    let deprecated = |layer: TraceLayer| layer.rpc_response_status_code();
    let rows = [
        ("rpc.response.status_code", Str("NOT_FOUND")),
        ("rpc.status_code", Absent),
    ];
    table(deprecated, "5", [&rows, &rows]).await;
}

#[tokio::test]
async fn error_type_is_set_for_server_error_codes_on_servers_and_for_all_but_ok_on_clients() {
    for (message, server, client) in [
        ("ok", Absent, Absent),
        ("5", Absent, Str("NOT_FOUND")),
        ("13", Str("INTERNAL"), Str("INTERNAL")),
    ] {
        for backend in Backend::ALL {
            let call = unary_call(backend, plain, message).await;
            for (span, error) in [(&call.server, server), (&call.client, client)] {
                assert_span_attributes(span, &[("error.type", error)]);
                let status = match error {
                    Absent => Status::Unset,
                    _ => Status::error(""),
                };
                assert_eq!(span.status, status, "{message}");
            }
        }
    }
}

#[tokio::test]
async fn server_address_and_port_are_those_of_the_request_target() {
    for backend in Backend::ALL {
        let call = unary_call(backend, plain, "ok").await;
        let rows = [
            ("server.address", Str("127.0.0.1")),
            ("server.port", Int(call.address.port().into())),
        ];
        assert_span_attributes(&call.server, &rows);
        assert_span_attributes(&call.client, &rows);
    }
}

#[tokio::test]
async fn network_peer_is_the_socket_address_on_servers_and_absent_on_clients() {
    for backend in Backend::ALL {
        let call = unary_call(backend, plain, "ok").await;
        assert_span_attributes(&call.server, &[("network.peer.address", Str("127.0.0.1"))]);
        let keys = keys(&call.server);
        assert!(keys.contains("network.peer.port"), "{keys:?}");
        // A tonic channel does not expose the address of its connection.
        assert_span_attributes(
            &call.client,
            &[
                ("network.peer.address", Absent),
                ("network.peer.port", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn network_peer_of_a_client_comes_from_the_peer_addr_extension_of_the_response() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let address = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let uri = format!("http://{address}");
        let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
        let service = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(backend.layer(telemetry.source(), TraceLayer::client().grpc()))
            .map_response(move |mut response: Response<Body>| {
                response.extensions_mut().insert(PeerAddr(address));
                response
            })
            .service(channel)
            .map_err(BoxError::from)
            .boxed();
        let mut client: Client = Grpc::with_origin(service, uri.parse().unwrap());
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        telemetry
            .wait_until("both spans have ended", |telemetry| {
                telemetry.spans().len() == 2
            })
            .await;
        let spans = telemetry.spans();
        let mut client_spans = spans
            .iter()
            .filter(|span| span.span_kind == SpanKind::Client);
        assert_span_attributes(
            client_spans.next().unwrap(),
            &[
                ("network.peer.address", Str("127.0.0.1")),
                ("network.peer.port", Int(address.port().into())),
            ],
        );
    }
}

/// Makes a call with metadata and returns the spans of both ends.
async fn with_metadata(backend: Backend, layer: fn(TraceLayer) -> TraceLayer) -> [SpanData; 2] {
    let telemetry = TestTelemetry::new();
    let address = server(&telemetry, backend, layer(TraceLayer::server().grpc())).await;
    let mut client = client(
        &telemetry,
        backend,
        layer(TraceLayer::client().grpc()),
        address,
    );
    client.ready().await.unwrap();
    let mut request = tonic::Request::new("ok".to_owned());
    let metadata = request.metadata_mut();
    metadata.append("x-tenant", MetadataValue::from_static("acme"));
    metadata.append("x-tenant", MetadataValue::from_static("emca"));
    let secret = MetadataValue::from_static("Bearer s3cr3t");
    metadata.append("authorization", secret);
    client
        .unary(request, path("Unary"), StringCodec)
        .await
        .unwrap();
    let (server, client) = server_and_client_spans(&telemetry, backend).await;
    [server, client]
}

#[tokio::test]
async fn rpc_headers_and_trailers_are_arrays_by_option() {
    let captured = |layer: TraceLayer| {
        layer
            .capture_request_headers([HeaderName::from_static("x-tenant"), header::AUTHORIZATION])
            .capture_response_headers([
                header::CONTENT_TYPE,
                HeaderName::from_static("grpc-status"),
            ])
    };
    for backend in Backend::ALL {
        for span in with_metadata(backend, captured).await {
            assert_span_attributes(
                &span,
                &[
                    ("rpc.request.header.x-tenant", List(&["acme", "emca"])),
                    ("rpc.request.header.authorization", List(&["REDACTED"])),
                    (
                        "rpc.response.header.content-type",
                        List(&["application/grpc"]),
                    ),
                    ("rpc.response.header.grpc-status", Absent),
                    ("rpc.response.trailer.grpc-status", List(&["0"])),
                    ("rpc.response.trailer.content-type", Absent),
                ],
            );
        }
        for span in with_metadata(backend, |layer| layer).await {
            let keys = keys(&span);
            assert!(
                !keys
                    .iter()
                    .any(|key| key.contains("header") || key.contains("trailer")),
                "{keys:?}"
            );
        }
    }
}

fn keys(span: &SpanData) -> BTreeSet<String> {
    let keys = span
        .attributes
        .iter()
        .map(|attribute| attribute.key.to_string());
    keys.collect()
}

#[tokio::test]
async fn samplers_get_the_name_and_the_attributes_known_at_the_start() {
    for backend in Backend::ALL {
        let sampler = RecordingSampler::default();
        let telemetry = TestTelemetry::with_sampler_and_filter(sampler.clone(), LevelFilter::INFO);
        let address = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), address);
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        server_and_client_spans(&telemetry, backend).await;
        let inputs = sampler.inputs();
        assert_eq!(inputs.len(), 2, "{inputs:#?}");
        for input in inputs {
            assert_eq!(input.name, "shop.Cart/Unary");
            assert_attributes(
                &input.attributes,
                &[
                    ("rpc.system.name", Str("grpc")),
                    ("server.address", Str("127.0.0.1")),
                    ("server.port", Int(address.port().into())),
                ],
            );
        }
    }
}

#[tokio::test]
async fn recorded_keys_are_exactly_those_of_the_conventions() {
    let everything = |layer: TraceLayer| {
        layer
            .grpc()
            .opt_in(OPT_INS)
            .body_sizes()
            .exceptions()
            .expose_span()
    };
    let deprecated = |layer: TraceLayer| layer.rpc_response_status_code();
    let mut recorded = BTreeSet::new();
    for backend in Backend::ALL {
        // Unknown keys are found by `assert_valid_span`, which checks each span.
        for call in [
            unary_call(backend, everything, "ok").await,
            unary_call(backend, everything, "13").await,
            unary_call(backend, deprecated, "ok").await,
        ] {
            recorded.extend(keys(&call.server));
            recorded.extend(keys(&call.client));
        }
        let telemetry = TestTelemetry::new();
        let address = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), address);
        let nope = PathAndQuery::from_static("/shop.Cart/Nope");
        unary(&mut client, nope, "ok").await.unwrap_err();
        recorded.extend(keys(&server_and_client_spans(&telemetry, backend).await.0));
    }
    for key in GRPC_KEYS {
        assert!(recorded.contains(*key), "{key} is never recorded");
    }
}

#[tokio::test]
async fn a_refused_call_has_the_required_attributes() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let address = listen().await.0;
        let mut client = client(&telemetry, backend, TraceLayer::client().grpc(), address);
        unary(&mut client, path("Unary"), "ok").await.unwrap_err();
        assert_span_attributes(
            &single_span(&telemetry, backend).await,
            &[
                ("rpc.system.name", Str("grpc")),
                ("rpc.method", Str("shop.Cart/Unary")),
                ("rpc.status_code", Str("UNAVAILABLE")),
                ("error.type", Str("connection_refused")),
                ("server.address", Str("127.0.0.1")),
                ("server.port", Int(address.port().into())),
            ],
        );
    }
}
