//! The conventions for the spans of gRPC calls, row by row, between a tonic server and a channel, for
//! every kind of spans. How calls end is in `grpc.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeSet, net::SocketAddr};

use http::{HeaderName, Response, header, uri::PathAndQuery};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    calls::{Client, both, client, listen, only, path, server, unary},
    cart::Text,
    keys::{CALL_KEYS, OPT_INS},
    net::BoxError,
    sampler::Shown,
    scene::Scene,
    table::{Absent, Int, List, Row, Str, says, tells},
};
use tonic::{body::Body, client::Grpc, metadata::MetadataValue, transport::Endpoint};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::PeerAddr;
use tower_otel_semconv::rpc::StatusAttribute;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::filter::LevelFilter;

/// The spans of both ends of a unary call.
struct Told {
    server: SpanData,
    client: SpanData,
    at: SocketAddr,
}

fn plain(layer: TraceLayer) -> TraceLayer {
    layer.grpc()
}

async fn told(backend: Backend, layer: fn(TraceLayer) -> TraceLayer, message: &str) -> Told {
    let scene = Scene::new();
    let at = server(&scene, backend, layer(TraceLayer::server())).await;
    let mut client = client(&scene, backend, layer(TraceLayer::client()), at);
    let _ = unary(&mut client, path("Unary"), message).await;
    let (server, client) = both(&scene, backend).await;
    Told { server, client, at }
}

/// Asks the rows of both ends.
async fn table(layer: fn(TraceLayer) -> TraceLayer, message: &str, rows: [&[Row<'_>]; 2]) {
    for backend in Backend::ALL {
        let told = told(backend, layer, message).await;
        for (span, rows) in [&told.server, &told.client].into_iter().zip(rows) {
            says(span, rows);
        }
    }
}

#[tokio::test]
async fn rpc_system_name_is_grpc() {
    let rows = [("rpc.system.name", Str("grpc"))];
    table(plain, "ok", [&rows, &rows]).await;
}

#[tokio::test]
async fn rpc_method_is_the_whole_of_the_path_and_the_name_of_the_span() {
    for backend in Backend::ALL {
        let told = told(backend, plain, "ok").await;
        for span in [&told.server, &told.client] {
            let rows = [
                ("rpc.method", Str("shop.Cart/Unary")),
                ("rpc.method_original", Absent),
            ];
            says(span, &rows);
            assert_eq!(span.name, "shop.Cart/Unary");
        }
    }
}

#[tokio::test]
async fn rpc_method_is_other_on_a_server_that_does_not_have_it_and_the_name_is_the_system() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let at = server(&scene, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), at);
        let nope = PathAndQuery::from_static("/shop.Cart/Nope");
        unary(&mut client, nope, "ok").await.unwrap_err();
        let (server, client) = both(&scene, backend).await;
        says(
            &server,
            &[
                ("rpc.method", Str("_OTHER")),
                ("rpc.method_original", Str("shop.Cart/Nope")),
            ],
        );
        assert_eq!(server.name, "grpc");
        // A client knows what it calls.
        says(&client, &[("rpc.method", Str("shop.Cart/Nope"))]);
        assert_eq!(client.name, "shop.Cart/Nope");
    }
}

#[tokio::test]
async fn rpc_response_status_code_is_the_status_by_name() {
    for (message, name) in [
        ("ok", "OK"),
        ("5", "NOT_FOUND"),
        ("14", "UNAVAILABLE"),
        ("16", "UNAUTHENTICATED"),
    ] {
        let rows = [
            ("rpc.response.status_code", Str(name)),
            ("rpc.status_code", Absent),
        ];
        table(plain, message, [&rows, &rows]).await;
    }
}

#[tokio::test]
async fn rpc_status_code_is_its_name_to_come_by_one_switch() {
    let moved = |layer: TraceLayer| layer.grpc_status_attribute(StatusAttribute::RpcStatusCode);
    let rows = [
        ("rpc.status_code", Str("NOT_FOUND")),
        ("rpc.response.status_code", Absent),
    ];
    table(moved, "5", [&rows, &rows]).await;
}

#[tokio::test]
async fn error_type_is_a_status_of_the_servers_list_on_a_server_and_any_but_ok_on_a_client() {
    for (message, server, client) in [
        ("ok", Absent, Absent),
        ("5", Absent, Str("NOT_FOUND")),
        ("13", Str("INTERNAL"), Str("INTERNAL")),
    ] {
        for backend in Backend::ALL {
            let told = told(backend, plain, message).await;
            for (span, error) in [(&told.server, server), (&told.client, client)] {
                says(span, &[("error.type", error)]);
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
async fn server_address_and_port_are_those_that_the_client_meant() {
    for backend in Backend::ALL {
        let told = told(backend, plain, "ok").await;
        let rows = [
            ("server.address", Str("127.0.0.1")),
            ("server.port", Int(told.at.port().into())),
        ];
        says(&told.server, &rows);
        says(&told.client, &rows);
    }
}

#[tokio::test]
async fn network_peer_address_and_port_are_those_of_the_socket_where_it_is_known() {
    for backend in Backend::ALL {
        let told = told(backend, plain, "ok").await;
        says(&told.server, &[("network.peer.address", Str("127.0.0.1"))]);
        let keys = keys(&told.server);
        assert!(keys.contains("network.peer.port"), "{keys:?}");
        // A channel of tonic does not tell where it is connected to.
        says(
            &told.client,
            &[
                ("network.peer.address", Absent),
                ("network.peer.port", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn network_peer_of_a_client_is_that_which_its_channel_left_in_the_response() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let at = server(&scene, backend, TraceLayer::server().grpc()).await;
        let uri = format!("http://{at}");
        let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
        let service = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(backend.layer(scene.source(), TraceLayer::client().grpc()))
            .map_response(move |mut response: Response<Body>| {
                response.extensions_mut().insert(PeerAddr(at));
                response
            })
            .service(channel)
            .map_err(BoxError::from)
            .boxed();
        let mut client: Client = Grpc::with_origin(service, uri.parse().unwrap());
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        scene
            .until("both ends tell", |scene| scene.spans().len() == 2)
            .await;
        let spans = scene.spans();
        let mut of_clients = spans
            .iter()
            .filter(|span| span.span_kind == SpanKind::Client);
        says(
            of_clients.next().unwrap(),
            &[
                ("network.peer.address", Str("127.0.0.1")),
                ("network.peer.port", Int(at.port().into())),
            ],
        );
    }
}

/// Sends metadata, and returns what both ends tell of it.
async fn with_metadata(backend: Backend, layer: fn(TraceLayer) -> TraceLayer) -> [SpanData; 2] {
    let scene = Scene::new();
    let at = server(&scene, backend, layer(TraceLayer::server().grpc())).await;
    let mut client = client(&scene, backend, layer(TraceLayer::client().grpc()), at);
    client.ready().await.unwrap();
    let mut request = tonic::Request::new("ok".to_owned());
    let metadata = request.metadata_mut();
    metadata.append("x-tenant", MetadataValue::from_static("acme"));
    metadata.append("x-tenant", MetadataValue::from_static("emca"));
    let secret = MetadataValue::from_static("Bearer s3cr3t");
    metadata.append("authorization", secret);
    client.unary(request, path("Unary"), Text).await.unwrap();
    let (server, client) = both(&scene, backend).await;
    [server, client]
}

#[tokio::test]
async fn rpc_request_and_response_metadata_are_arrays_by_option() {
    let asked = |layer: TraceLayer| {
        layer
            .capture_request_headers([HeaderName::from_static("x-tenant"), header::AUTHORIZATION])
            .capture_response_headers([header::CONTENT_TYPE])
    };
    for backend in Backend::ALL {
        for span in with_metadata(backend, asked).await {
            says(
                &span,
                &[
                    ("rpc.request.metadata.x-tenant", List(&["acme", "emca"])),
                    ("rpc.request.metadata.authorization", List(&["REDACTED"])),
                    (
                        "rpc.response.metadata.content-type",
                        List(&["application/grpc"]),
                    ),
                ],
            );
        }
        for span in with_metadata(backend, |layer| layer).await {
            let keys = keys(&span);
            assert!(!keys.iter().any(|key| key.contains("metadata")), "{keys:?}");
        }
    }
}

fn keys(span: &SpanData) -> BTreeSet<String> {
    let keys = span.attributes.iter().map(|told| told.key.to_string());
    keys.collect()
}

#[tokio::test]
async fn what_samplers_need_is_there_when_they_are_asked() {
    for backend in Backend::ALL {
        let sampler = Shown::default();
        let scene = Scene::with(sampler.clone(), LevelFilter::INFO);
        let at = server(&scene, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), at);
        unary(&mut client, path("Unary"), "ok").await.unwrap();
        both(&scene, backend).await;
        let samples = sampler.samples();
        assert_eq!(samples.len(), 2, "{samples:#?}");
        for sample in samples {
            assert_eq!(sample.name, "shop.Cart/Unary");
            tells(
                &sample.attributes,
                &[
                    ("rpc.system.name", Str("grpc")),
                    ("server.address", Str("127.0.0.1")),
                    ("server.port", Int(at.port().into())),
                ],
            );
        }
    }
}

#[tokio::test]
async fn every_key_and_no_other_is_in_the_conventions() {
    let everything = |layer: TraceLayer| {
        layer
            .grpc()
            .opt_in(OPT_INS)
            .body_sizes()
            .exceptions()
            .expose_span()
    };
    let moved = |layer: TraceLayer| layer.grpc_status_attribute(StatusAttribute::RpcStatusCode);
    let mut seen = BTreeSet::new();
    for backend in Backend::ALL {
        // Each span is looked at when it is taken, for keys that are not in the list.
        for told in [
            told(backend, everything, "ok").await,
            told(backend, everything, "13").await,
            told(backend, moved, "ok").await,
        ] {
            seen.extend(keys(&told.server));
            seen.extend(keys(&told.client));
        }
        let scene = Scene::new();
        let at = server(&scene, backend, TraceLayer::server().grpc()).await;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), at);
        let nope = PathAndQuery::from_static("/shop.Cart/Nope");
        unary(&mut client, nope, "ok").await.unwrap_err();
        seen.extend(keys(&both(&scene, backend).await.0));
    }
    for key in CALL_KEYS {
        assert!(seen.contains(*key), "{key} is never told");
    }
}

#[tokio::test]
async fn a_call_that_reaches_nobody_has_its_required_attributes_nevertheless() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let at = listen().await.0;
        let mut client = client(&scene, backend, TraceLayer::client().grpc(), at);
        unary(&mut client, path("Unary"), "ok").await.unwrap_err();
        says(
            &only(&scene, backend).await,
            &[
                ("rpc.system.name", Str("grpc")),
                ("rpc.method", Str("shop.Cart/Unary")),
                ("rpc.response.status_code", Str("UNAVAILABLE")),
                ("error.type", Str("connection_refused")),
                ("server.address", Str("127.0.0.1")),
                ("server.port", Int(at.port().into())),
            ],
        );
    }
}
