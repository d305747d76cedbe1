//! The addresses of server, client and connection.

use std::net::SocketAddr;

use axum::extract::Request;
use suite_tests::{
    backend::Backend,
    server::{Server, app, send_raw},
    table::{Absent, Int, Str, assert_span_attributes, lines, rows},
    telemetry::TestTelemetry,
};
use tower::util::MapRequestLayer;
use tower_otel_core::{LocalAddr, PeerAddr};
use tower_otel_semconv::{ForwardedHeaders, TrustedProxies};
use tower_otel_trace::{OptIn, TraceLayer};

use crate::{over_http2, table};

/// Returns a layer that trusts these proxies.
fn trusting(proxies: TrustedProxies) -> TraceLayer {
    TraceLayer::server().trusted_proxies(proxies)
}

/// With two `Host` headers it is unknown which one another hop used.
#[tokio::test]
async fn server_address_and_port_come_from_the_host_header() {
    table(
        TraceLayer::server,
        "
        GET / | Host: api.example:8443               => server.address=api.example | server.port=8443
        GET / | Host: api.example                    => server.address=api.example | server.port=-
        GET / | Host: api.example:                   => server.address=api.example | server.port=-
        GET / | Host: :8443                          => server.address=- | server.port=-
        GET / | Host: 127.0.0.1:80                   => server.address=127.0.0.1 | server.port=80
        GET / | Host: [::1]:5000                     => server.address=::1 | server.port=5000
        GET / | Host: [2001:db8::1]                  => server.address=2001:db8::1 | server.port=-
        GET /                                        => server.address=- | server.port=-
        GET / | Host:                                => server.address=- | server.port=-
        GET / | Host: a.example | Host: b.example    => server.address=- | server.port=-
        GET / | Host: me:s3cr3t@api.example          => server.address=- | server.port=-
        ",
    )
    .await;
}

#[tokio::test]
async fn server_address_prefers_the_authority_to_the_host_header() {
    table(
        TraceLayer::server,
        "
        GET http://front.example:81/ | Host: api.example:82 => server.address=front.example | server.port=81
        CONNECT far.example:443                             => server.address=far.example | server.port=443
        ",
    )
    .await;
    let over_http_2 = "
        http://api.example:81/   => server.address=api.example | server.port=81
        http://api.example/      => server.address=api.example | server.port=-
        http://[2001:db8::1]:81/ => server.address=2001:db8::1 | server.port=81
    ";
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        for (uri, attributes) in lines(over_http_2) {
            assert_span_attributes(&over_http2(&server, uri).await, &rows(attributes));
        }
    }
}

#[tokio::test]
async fn server_address_prefers_the_host_from_a_trusted_proxy() {
    table(
        || trusting(TrustedProxies::hops(1)),
        r#"
        GET http://inner.example/ | Host: inner.example | Forwarded: host="api.example:8443" => server.address=api.example | server.port=8443
        GET / | Host: inner.example | X-Forwarded-Host: [2001:db8::1]:8443                   => server.address=2001:db8::1 | server.port=8443
        GET / | Host: inner.example:80 | X-Forwarded-Host: api.example                       => server.address=api.example | server.port=-
        "#,
    )
    .await;
}

#[tokio::test]
async fn client_address_is_the_peer_if_no_proxy_is_trusted() {
    let forged = "GET / | Host: api.example | Forwarded: for=6.6.6.6;proto=https;host=evil.example \
        | X-Forwarded-For: 6.6.6.6 | X-Forwarded-Proto: https | X-Forwarded-Host: evil.example";
    let case = format!(
        "{forged} => client.address=127.0.0.1 | url.scheme=http | server.address=api.example"
    );
    table(TraceLayer::server, &case).await;
    table(
        || trusting(TrustedProxies::cidrs(["10.0.0.0/8"]).unwrap()),
        &case,
    )
    .await;
}

/// A trusted proxy may hide the client. Then the address is unknown.
#[tokio::test]
async fn client_address_is_the_first_untrusted_hop() {
    table(
        || trusting(TrustedProxies::hops(1)),
        r#"
        GET / | X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.2                   => client.address=10.0.0.2
        GET / | Forwarded: for=6.6.6.6, for="203.0.113.7:4711", for=10.0.0.2      => client.address=10.0.0.2
        "#,
    )
    .await;
    let two_hops = r#"
        GET / | X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.2                   => client.address=203.0.113.7
        GET / | Forwarded: for=6.6.6.6, for="203.0.113.7:4711", for=10.0.0.2      => client.address=203.0.113.7
    "#;
    table(|| trusting(TrustedProxies::hops(2)), two_hops).await;
    let by_address = || trusting(TrustedProxies::cidrs(["127.0.0.0/8", "10.0.0.0/8"]).unwrap());
    table(by_address, two_hops).await;
    table(
        by_address,
        r#"
        GET / | Forwarded: for="[2001:db8::7]:4711", for=10.0.0.2 => client.address=2001:db8::7
        GET /                                                     => client.address=127.0.0.1
        GET / | Forwarded: for=_hidden                            => client.address=-
        "#,
    )
    .await;
}

#[tokio::test]
async fn only_the_configured_forwarded_headers_are_read() {
    for (family, address) in [
        (ForwardedHeaders::XForwarded, "203.0.113.7"),
        (ForwardedHeaders::Forwarded, "6.6.6.6"),
        (ForwardedHeaders::Both, "-"),
    ] {
        let both = "GET / | Forwarded: for=6.6.6.6 | X-Forwarded-For: 203.0.113.7";
        table(
            || trusting(TrustedProxies::hops(1).headers(family)),
            &format!("{both} => client.address={address}"),
        )
        .await;
    }
}

#[tokio::test]
async fn client_port_is_the_port_of_the_client_address_by_option() {
    let layer = || TraceLayer::server().opt_in([OptIn::ClientPort]);
    table(
        || layer().trusted_proxies(TrustedProxies::all()),
        r#"
        GET / | Forwarded: for="192.0.2.1:4711" => client.address=192.0.2.1 | client.port=4711
        GET / | Forwarded: for=192.0.2.1        => client.address=192.0.2.1 | client.port=-
        "#,
    )
    .await;
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        let (_, stream) = send_raw(server.address, "GET / HTTP/1.1").await;
        let port = stream.local_addr().unwrap().port();
        assert_span_attributes(
            &server.next_span().await,
            &[("client.port", Int(port.into()))],
        );
    }
}

#[tokio::test]
async fn network_peer_address_and_port_are_those_of_the_socket() {
    for backend in Backend::ALL {
        let layer = TraceLayer::server().trusted_proxies(TrustedProxies::hops(1));
        let server = Server::start(backend, layer).await;
        let request = "GET / HTTP/1.1\nX-Forwarded-For: 203.0.113.7";
        let (_, stream) = send_raw(server.address, request).await;
        let port = stream.local_addr().unwrap().port();
        assert_span_attributes(
            &server.next_span().await,
            &[
                ("network.peer.address", Str("127.0.0.1")),
                ("network.peer.port", Int(port.into())),
                ("client.address", Str("203.0.113.7")),
            ],
        );
    }
}

#[tokio::test]
async fn network_peer_comes_from_the_peer_addr_extension_of_the_request() {
    for backend in Backend::ALL {
        for (peer, address, port) in [
            ("192.0.2.1:4711", "192.0.2.1", Int(4711)),
            ("[2001:db8::1]:4711", "2001:db8::1", Int(4711)),
            ("[::ffff:192.0.2.1]:4711", "192.0.2.1", Int(4711)),
            ("192.0.2.1:0", "192.0.2.1", Absent),
        ] {
            let insert_peer = MapRequestLayer::new(move |mut request: Request| {
                let peer = PeerAddr(peer.parse().unwrap());
                request.extensions_mut().insert(peer);
                request
            });
            let telemetry = TestTelemetry::new();
            let router = backend
                .layer_router(&telemetry, TraceLayer::server(), app())
                .layer(insert_peer);
            let server = Server::serve_router(backend, telemetry, router).await;
            assert_span_attributes(
                &server.span_of("GET / HTTP/1.1").await,
                &[
                    ("network.peer.address", Str(address)),
                    ("network.peer.port", port),
                    ("client.address", Str(address)),
                ],
            );
        }
    }
}

#[tokio::test]
async fn client_and_peer_addresses_are_absent_if_the_peer_is_unknown() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let address = backend.serve(&telemetry, TraceLayer::server(), app()).await;
        let server = Server::running_at(backend, telemetry, address);
        assert_span_attributes(
            &server.span_of("GET / HTTP/1.1").await,
            &[
                ("client.address", Absent),
                ("network.peer.address", Absent),
                ("network.peer.port", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn network_local_address_and_port_are_those_of_the_server_socket_by_option() {
    for backend in Backend::ALL {
        let layer = TraceLayer::server().opt_in([OptIn::NetworkLocal]);
        let server = Server::with_connection_addresses(backend, layer).await;
        let (_, stream) = send_raw(server.address, "GET / HTTP/1.1").await;
        let peer_port = stream.local_addr().unwrap().port();
        assert_span_attributes(
            &server.next_span().await,
            &[
                ("network.local.address", Str("127.0.0.1")),
                ("network.local.port", Int(server.address.port().into())),
                ("network.peer.address", Str("127.0.0.1")),
                ("network.peer.port", Int(peer_port.into())),
            ],
        );
    }
}

#[tokio::test]
async fn network_local_address_is_absent_if_unknown() {
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 8080));
    for local in [None, Some(LocalAddr(unspecified))] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let layer = TraceLayer::server().opt_in([OptIn::NetworkLocal]);
            let router = backend.layer_router(&telemetry, layer, app());
            let router = router.layer(MapRequestLayer::new(move |mut request: Request| {
                local.map(|local| request.extensions_mut().insert(local));
                request
            }));
            let server = Server::serve_router(backend, telemetry, router).await;
            assert_span_attributes(
                &server.span_of("GET / HTTP/1.1").await,
                &[
                    ("network.local.address", Absent),
                    ("network.local.port", Absent),
                ],
            );
        }
    }
}

#[tokio::test]
async fn network_transport_is_tcp_by_option_if_the_peer_is_known() {
    let layer = || TraceLayer::server().opt_in([OptIn::NetworkTransport]);
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        let tcp = [("network.transport", Str("tcp"))];
        assert_span_attributes(&server.span_of("GET / HTTP/1.1").await, &tcp);
        assert_span_attributes(&over_http2(&server, "http://a/").await, &tcp);

        // Without a peer address, as on a Unix socket.
        let telemetry = TestTelemetry::new();
        let address = backend.serve(&telemetry, layer(), app()).await;
        let server = Server::running_at(backend, telemetry, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_span_attributes(&span, &[("network.transport", Absent)]);
    }
}
