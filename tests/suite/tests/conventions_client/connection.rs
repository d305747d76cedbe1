//! The protocol and the peer of the connection.

use axum::{Router, routing::any};
use http::Response;
use suite_tests::{
    backend::Backend,
    client::{request, single_connection_client},
    net::{Http, serve},
    table::{Absent, Int, Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tower::ServiceExt;
use tower_otel_core::PeerAddr;
use tower_otel_trace::{OptIn, TraceLayer};

use crate::{ALL, Client, HttpClient, refusing_server, table};

#[tokio::test]
async fn network_protocol_version_is_the_negotiated_one_and_absent_without_a_response() {
    let line = "GET http://api.example/users/7";
    for (http_client, version) in [
        (HttpClient::Hyper(Http::One), "1.1"),
        (HttpClient::Hyper(Http::Two), "2"),
        (HttpClient::Reqwest(Http::One), "1.1"),
        (HttpClient::Reqwest(Http::Two), "2"),
    ] {
        let case = format!("{line} => network.protocol.version={version}");
        table(&[http_client], TraceLayer::client, &case).await;
    }
    for backend in Backend::ALL {
        let (_socket, server) = refusing_server();
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in ALL {
            let span = client.span_of(http_client, line).await;
            assert_span_attributes(&span, &[("network.protocol.version", Absent)]);
        }
    }
}

#[tokio::test]
async fn network_protocol_version_is_that_of_the_response_not_of_the_request() {
    for backend in Backend::ALL {
        let old = Router::new().route(
            "/",
            any(|| async {
                let mut response = Response::new(axum::body::Body::empty());
                *response.version_mut() = http::Version::HTTP_10;
                response
            }),
        );
        let server = serve(old).await;
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in [HttpClient::Hyper(Http::One), HttpClient::Reqwest(Http::One)] {
            let span = client.span_of(http_client, "GET http://api.example/").await;
            assert_span_attributes(&span, &[("network.protocol.version", Str("1.0"))]);
        }
    }
}

#[tokio::test]
async fn network_peer_is_the_address_of_the_connection() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in ALL {
            let span = client
                .span_of(http_client, "GET http://api.example/users/7")
                .await;
            assert_span_attributes(
                &span,
                &[
                    ("network.peer.address", Str("127.0.0.1")),
                    ("network.peer.port", Int(client.server.port().into())),
                    ("server.address", Str("api.example")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn network_peer_comes_from_the_peer_addr_extension_of_the_response() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for (peer, address, port) in [
            (None, Absent, Absent),
            (Some("192.0.2.1:4711"), Str("192.0.2.1"), Int(4711)),
            (Some("[2001:db8::1]:4711"), Str("2001:db8::1"), Int(4711)),
            (Some("[::ffff:192.0.2.1]:4711"), Str("192.0.2.1"), Int(4711)),
        ] {
            // A client on one connection does not expose its peer.
            let with_peer =
                single_connection_client(client.server)
                    .await
                    .map_response(move |mut response| {
                        let extensions: &mut http::Extensions =
                            Response::extensions_mut(&mut response);
                        if let Some(peer) = peer {
                            extensions.insert(PeerAddr(peer.parse().unwrap()));
                        }
                        response
                    });
            client
                .send_with(with_peer, request("GET http://api.example/users/7"))
                .await;
            assert_span_attributes(
                &client.next_span().await,
                &[
                    ("network.peer.address", address),
                    ("network.peer.port", port),
                ],
            );
        }
    }
}

#[tokio::test]
async fn network_transport_is_tcp_by_option_if_the_peer_is_known() {
    let layer = || TraceLayer::client().opt_in([OptIn::NetworkTransport]);
    table(
        &ALL,
        layer,
        "GET http://api.example/users/7 => network.transport=tcp | network.peer.address=127.0.0.1",
    )
    .await;
    for backend in Backend::ALL {
        let client = Client::new(backend, layer()).await;
        let without_peer = single_connection_client(client.server).await;
        client
            .send_with(without_peer, request("GET /users/7"))
            .await;
        let absent = [
            ("network.transport", Absent),
            ("network.peer.address", Absent),
        ];
        assert_span_attributes(&client.next_span().await, &absent);
    }
}
