//! The attributes of server spans by the conventions, over real sockets with every span backend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, response::Response, routing::any};
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty, Full};
use opentelemetry::{
    Context,
    trace::{SpanId, SpanKind, Status, TraceContextExt, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use suite_tests::{
    backend::Backend,
    keys::OPT_INS,
    net::{BoxError, ClientConnection, Http, ScriptedBody, Step},
    sampler::RecordingSampler,
    server::{Server, app, context, send_raw, traceparent},
    table::{Absent, Int, List, Row, Str, assert_attributes, assert_span_attributes},
    telemetry::{SCOPE, TestTelemetry, with_timeout},
};
use tokio::sync::Notify;
use tower::util::MapRequestLayer;
use tower_otel_core::{Filter, LocalAddr, PeerAddr};
use tower_otel_semconv::{ForwardedHeaders, KnownMethods, SensitiveKeys, TrustedProxies};
use tower_otel_trace::{OptIn, TraceLayer};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt,
};

/// Sends each request unchanged and checks the attributes of its span.
async fn table(layer: impl Fn() -> TraceLayer, cases: &[(&str, &[Row<'_>])]) {
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        for (request, rows) in cases {
            let span = server.span_of(request).await;
            assert_eq!(span.span_kind, SpanKind::Server);
            assert_span_attributes(&span, rows);
        }
    }
}

/// Sends each request unchanged and checks the name of its span.
async fn names(layer: impl Fn() -> TraceLayer, cases: &[(&str, &str)]) {
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        for (request, name) in cases {
            assert_eq!(server.span_of(request).await.name, *name, "{request}");
        }
    }
}

/// Sends a request over HTTP/2 and returns its span.
async fn over_http2(server: &Server, uri: &str) -> SpanData {
    let mut connection = ClientConnection::connect(Http::Two, server.address).await;
    let request = http::Request::get(uri)
        .version(Version::HTTP_2)
        .body(Empty::new())
        .unwrap();
    let response = with_timeout("the response", connection.send(request))
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();
    server.next_span().await
}

/// Returns a layer with every option that adds attributes.
fn everything() -> TraceLayer {
    TraceLayer::server()
        .opt_in(OPT_INS)
        .body_sizes()
        .capture_request_headers([header::ACCEPT])
        .capture_response_headers([header::CONTENT_TYPE])
        .exceptions()
        .expose_span()
        .trusted_proxies(TrustedProxies::all())
}

// ---- Attributes -------------------------------------------------------------------------------

#[tokio::test]
async fn http_request_method_is_a_known_method() {
    for method in [
        "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY",
    ] {
        let request = format!("{method} /users/7 HTTP/1.1");
        let rows: &[Row<'_>] = &[
            ("http.request.method", Str(method)),
            ("http.request.method_original", Absent),
        ];
        table(TraceLayer::server, &[(&request, rows)]).await;
    }
    let rows: &[Row<'_>] = &[
        ("http.request.method", Str("CONNECT")),
        ("http.request.method_original", Absent),
    ];
    table(
        TraceLayer::server,
        &[("CONNECT far.example:443 HTTP/1.1", rows)],
    )
    .await;
}

#[tokio::test]
async fn http_request_method_is_other_if_unknown() {
    let rows: fn(&str) -> [Row<'_>; 2] = |original| {
        [
            ("http.request.method", Str("_OTHER")),
            ("http.request.method_original", Str(original)),
        ]
    };
    table(
        TraceLayer::server,
        &[
            ("PURGE /users/7 HTTP/1.1", &rows("PURGE")),
            ("get /users/7 HTTP/1.1", &rows("get")),
            ("Get /users/7 HTTP/1.1", &rows("Get")),
            ("_OTHER /users/7 HTTP/1.1", &rows("_OTHER")),
        ],
    )
    .await;
}

#[tokio::test]
async fn url_path_is_the_path_without_the_query() {
    table(
        TraceLayer::server,
        &[
            ("GET / HTTP/1.1", &[("url.path", Str("/"))]),
            ("GET /users/7 HTTP/1.1", &[("url.path", Str("/users/7"))]),
            (
                "GET /users/7?a=b HTTP/1.1",
                &[("url.path", Str("/users/7"))],
            ),
            ("GET /a%20b/ HTTP/1.1", &[("url.path", Str("/a%20b/"))]),
            (
                "GET http://api.example/users/7?a=b HTTP/1.1",
                &[("url.path", Str("/users/7"))],
            ),
            ("OPTIONS * HTTP/1.1", &[("url.path", Str("*"))]),
            // The target of a CONNECT has no path.
            ("CONNECT far.example:443 HTTP/1.1", &[("url.path", Absent)]),
        ],
    )
    .await;
}

#[tokio::test]
async fn url_scheme_is_that_of_the_connection() {
    const HTTP: Row<'_> = ("url.scheme", Str("http"));
    const HTTPS: Row<'_> = ("url.scheme", Str("https"));
    table(
        TraceLayer::server,
        &[
            ("GET /users/7 HTTP/1.1", &[HTTP]),
            ("GET /users/7 HTTP/1.0", &[HTTP]),
        ],
    )
    .await;
    table(
        || TraceLayer::server().https(),
        &[
            ("GET /users/7 HTTP/1.1", &[HTTPS]),
            ("GET http://api.example/users/7 HTTP/1.1", &[HTTPS]),
        ],
    )
    .await;
}

#[tokio::test]
async fn url_scheme_comes_from_an_absolute_target() {
    table(
        TraceLayer::server,
        &[
            (
                "GET https://api.example/users/7 HTTP/1.1",
                &[("url.scheme", Str("https"))],
            ),
            (
                "GET gopher://api.example/users/7 HTTP/1.1",
                &[("url.scheme", Str("http"))],
            ),
        ],
    )
    .await;
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        for scheme in ["http", "https"] {
            let span = over_http2(&server, &format!("{scheme}://api.example/users/7")).await;
            assert_span_attributes(&span, &[("url.scheme", Str(scheme))]);
        }
    }
}

#[tokio::test]
async fn url_scheme_comes_from_a_trusted_proxy() {
    const HTTPS: Row<'_> = ("url.scheme", Str("https"));
    table(
        || TraceLayer::server().trusted_proxies(TrustedProxies::hops(1)),
        &[
            (
                "GET /users/7 HTTP/1.1\nForwarded: for=192.0.2.1;proto=https",
                &[HTTPS],
            ),
            ("GET /users/7 HTTP/1.1\nX-Forwarded-Proto: https", &[HTTPS]),
            ("GET /users/7 HTTP/1.1\nX-Forwarded-Proto: HTTPS", &[HTTPS]),
            (
                "GET /users/7 HTTP/1.1\nX-Forwarded-Proto: ",
                &[("url.scheme", Str("http"))],
            ),
            (
                "GET /users/7 HTTP/1.1\nX-Forwarded-Proto: javascript",
                &[("url.scheme", Str("http"))],
            ),
        ],
    )
    .await;
    // The scheme from a trusted proxy takes precedence over `https()`.
    table(
        || {
            TraceLayer::server()
                .https()
                .trusted_proxies(TrustedProxies::hops(1))
        },
        &[(
            "GET /users/7 HTTP/1.1\nX-Forwarded-Proto: http",
            &[("url.scheme", Str("http"))],
        )],
    )
    .await;
}

#[tokio::test]
async fn url_query_is_present_if_the_request_has_a_query() {
    table(
        TraceLayer::server,
        &[
            (
                "GET /users/7?page=2&x HTTP/1.1",
                &[("url.query", Str("page=2&x"))],
            ),
            ("GET /users/7 HTTP/1.1", &[("url.query", Absent)]),
            ("GET /users/7? HTTP/1.1", &[("url.query", Absent)]),
            ("GET /users/7?? HTTP/1.1", &[("url.query", Str("?"))]),
        ],
    )
    .await;
}

#[tokio::test]
async fn url_query_redacts_the_values_of_sensitive_keys() {
    for key in [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
    ] {
        table(
            TraceLayer::server,
            &[(
                &format!("GET /users/7?a=b&{key}=s3cr3t&c=d HTTP/1.1"),
                &[("url.query", Str(&format!("a=b&{key}=REDACTED&c=d")))],
            )],
        )
        .await;
    }
    table(
        TraceLayer::server,
        &[
            // Keys are case-sensitive and compared after percent-decoding.
            ("GET /?SIG=open HTTP/1.1", &[("url.query", Str("SIG=open"))]),
            (
                "GET /?s%69g=s3cr3t HTTP/1.1",
                &[("url.query", Str("s%69g=REDACTED"))],
            ),
            (
                "GET /?sig=s3cr3t&sig=s3cr3t HTTP/1.1",
                &[("url.query", Str("sig=REDACTED&sig=REDACTED"))],
            ),
            ("GET /?sig HTTP/1.1", &[("url.query", Str("sig"))]),
        ],
    )
    .await;
}

#[tokio::test]
async fn sensitive_query_keys_replaces_the_default_list() {
    table(
        || TraceLayer::server().sensitive_query_keys(SensitiveKeys::new(["token"])),
        &[(
            "GET /users/7?token=s3cr3t&sig=open HTTP/1.1",
            &[("url.query", Str("token=REDACTED&sig=open"))],
        )],
    )
    .await;
}

#[tokio::test]
async fn http_route_is_the_template_of_the_matched_route() {
    table(
        TraceLayer::server,
        &[
            (
                "GET /users/7 HTTP/1.1",
                &[("http.route", Str("/users/{id}"))],
            ),
            ("GET /nowhere HTTP/1.1", &[("http.route", Absent)]),
            ("OPTIONS * HTTP/1.1", &[("http.route", Absent)]),
        ],
    )
    .await;
}

#[tokio::test]
async fn http_response_status_code_is_that_of_the_response() {
    table(
        TraceLayer::server,
        &[
            (
                "GET /users/7 HTTP/1.1",
                &[("http.response.status_code", Int(200))],
            ),
            (
                "GET /nowhere HTTP/1.1",
                &[("http.response.status_code", Int(404))],
            ),
            (
                "GET /status/503 HTTP/1.1",
                &[("http.response.status_code", Int(503))],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn server_port_is_present_if_the_host_has_an_address_and_a_port() {
    table(
        TraceLayer::server,
        &[
            (
                "GET / HTTP/1.1\nHost: api.example:8443",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Int(8443)),
                ],
            ),
            (
                "GET / HTTP/1.1\nHost: api.example",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Absent),
                ],
            ),
            (
                "GET / HTTP/1.1\nHost: api.example:",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Absent),
                ],
            ),
            (
                "GET / HTTP/1.1\nHost: :8443",
                &[("server.address", Absent), ("server.port", Absent)],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn server_address_comes_from_the_host_header() {
    table(
        TraceLayer::server,
        &[
            (
                "GET / HTTP/1.1\nHost: 127.0.0.1:80",
                &[
                    ("server.address", Str("127.0.0.1")),
                    ("server.port", Int(80)),
                ],
            ),
            (
                "GET / HTTP/1.1\nHost: [::1]:5000",
                &[("server.address", Str("::1")), ("server.port", Int(5000))],
            ),
            (
                "GET / HTTP/1.1\nHost: [2001:db8::1]",
                &[
                    ("server.address", Str("2001:db8::1")),
                    ("server.port", Absent),
                ],
            ),
            (
                "CONNECT far.example:443 HTTP/1.1",
                &[
                    ("server.address", Str("far.example")),
                    ("server.port", Int(443)),
                ],
            ),
            (
                "GET / HTTP/1.1",
                &[("server.address", Absent), ("server.port", Absent)],
            ),
            (
                "GET / HTTP/1.1\nHost: ",
                &[("server.address", Absent), ("server.port", Absent)],
            ),
            // Of two `Host` headers, it is unknown which one another hop used.
            (
                "GET / HTTP/1.1\nHost: a.example\nHost: b.example",
                &[("server.address", Absent), ("server.port", Absent)],
            ),
            (
                "GET / HTTP/1.1\nHost: me:s3cr3t@api.example",
                &[("server.address", Absent), ("server.port", Absent)],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn server_address_prefers_the_authority_to_the_host_header() {
    table(
        TraceLayer::server,
        &[(
            "GET http://front.example:81/ HTTP/1.1\nHost: api.example:82",
            &[
                ("server.address", Str("front.example")),
                ("server.port", Int(81)),
            ],
        )],
    )
    .await;
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        for (uri, address, port) in [
            ("http://api.example:81/", "api.example", Int(81)),
            ("http://api.example/", "api.example", Absent),
            ("http://[2001:db8::1]:81/", "2001:db8::1", Int(81)),
        ] {
            let span = over_http2(&server, uri).await;
            assert_span_attributes(
                &span,
                &[("server.address", Str(address)), ("server.port", port)],
            );
        }
    }
}

#[tokio::test]
async fn server_address_prefers_the_host_from_a_trusted_proxy() {
    table(
        || TraceLayer::server().trusted_proxies(TrustedProxies::hops(1)),
        &[
            (
                "GET http://inner.example/ HTTP/1.1\nHost: inner.example\nForwarded: host=\"api.example:8443\"",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Int(8443)),
                ],
            ),
            (
                "GET / HTTP/1.1\nHost: inner.example\nX-Forwarded-Host: [2001:db8::1]:8443",
                &[
                    ("server.address", Str("2001:db8::1")),
                    ("server.port", Int(8443)),
                ],
            ),
            (
                "GET / HTTP/1.1\nHost: inner.example:80\nX-Forwarded-Host: api.example",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Absent),
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn client_address_is_the_peer_if_no_proxy_is_trusted() {
    let forged = "GET / HTTP/1.1\nHost: api.example\n\
        Forwarded: for=6.6.6.6;proto=https;host=evil.example\n\
        X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.example";
    let rows: &[Row<'_>] = &[
        ("client.address", Str("127.0.0.1")),
        ("url.scheme", Str("http")),
        ("server.address", Str("api.example")),
    ];
    table(TraceLayer::server, &[(forged, rows)]).await;
    table(
        || TraceLayer::server().trusted_proxies(TrustedProxies::cidrs(["10.0.0.0/8"]).unwrap()),
        &[(forged, rows)],
    )
    .await;
}

#[tokio::test]
async fn client_address_is_the_first_untrusted_hop() {
    let x = "GET / HTTP/1.1\nX-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.2";
    let rfc = "GET / HTTP/1.1\nForwarded: for=6.6.6.6, for=\"203.0.113.7:4711\", for=10.0.0.2";
    let ipv6 = "GET / HTTP/1.1\nForwarded: for=\"[2001:db8::7]:4711\", for=10.0.0.2";
    let is = |address| [("client.address", Str(address))];
    let hops = |n| move || TraceLayer::server().trusted_proxies(TrustedProxies::hops(n));
    table(hops(1), &[(x, &is("10.0.0.2")), (rfc, &is("10.0.0.2"))]).await;
    table(
        hops(2),
        &[(x, &is("203.0.113.7")), (rfc, &is("203.0.113.7"))],
    )
    .await;
    table(
        || {
            let trusted = ["127.0.0.0/8", "10.0.0.0/8"];
            TraceLayer::server().trusted_proxies(TrustedProxies::cidrs(trusted).unwrap())
        },
        &[
            (x, &is("203.0.113.7")),
            (rfc, &is("203.0.113.7")),
            (ipv6, &is("2001:db8::7")),
            ("GET / HTTP/1.1", &is("127.0.0.1")),
            // A trusted proxy hides the client, so the address is unknown.
            (
                "GET / HTTP/1.1\nForwarded: for=_hidden",
                &[("client.address", Absent)],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn only_the_configured_forwarded_headers_are_read() {
    let both = "GET / HTTP/1.1\nForwarded: for=6.6.6.6\nX-Forwarded-For: 203.0.113.7";
    let reading = |family| {
        move || TraceLayer::server().trusted_proxies(TrustedProxies::hops(1).headers(family))
    };
    let is = |address| [("client.address", Str(address))];
    table(
        reading(ForwardedHeaders::XForwarded),
        &[(both, &is("203.0.113.7"))],
    )
    .await;
    table(
        reading(ForwardedHeaders::Forwarded),
        &[(both, &is("6.6.6.6"))],
    )
    .await;
    table(
        reading(ForwardedHeaders::Both),
        &[(both, &[("client.address", Absent)])],
    )
    .await;
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
async fn network_protocol_version_has_the_format_of_the_conventions() {
    table(
        TraceLayer::server,
        &[
            (
                "GET / HTTP/1.0",
                &[("network.protocol.version", Str("1.0"))],
            ),
            (
                "GET / HTTP/1.1",
                &[("network.protocol.version", Str("1.1"))],
            ),
        ],
    )
    .await;
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let span = over_http2(&server, "http://api.example/").await;
        assert_span_attributes(&span, &[("network.protocol.version", Str("2"))]);
    }
}

#[tokio::test]
async fn network_protocol_name_is_absent_because_it_is_http() {
    table(
        everything,
        &[("GET / HTTP/1.1", &[("network.protocol.name", Absent)])],
    )
    .await;
}

#[tokio::test]
async fn user_agent_original_is_the_user_agent_header() {
    table(
        TraceLayer::server,
        &[
            (
                "GET / HTTP/1.1\nUser-Agent: a browser/1.0 (of sorts)",
                &[("user_agent.original", Str("a browser/1.0 (of sorts)"))],
            ),
            ("GET / HTTP/1.1", &[("user_agent.original", Absent)]),
            (
                "GET / HTTP/1.1\nUser-Agent: ",
                &[("user_agent.original", Absent)],
            ),
            (
                "GET / HTTP/1.1\nUser-Agent: \u{fc}",
                &[("user_agent.original", Absent)],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn personal_data_false_omits_all_personal_data() {
    let forwarded = "GET / HTTP/1.1\nUser-Agent: a browser\nForwarded: for=\"203.0.113.7:4711\"";
    let rows: &[Row<'_>] = &[
        ("client.address", Absent),
        ("client.port", Absent),
        ("network.peer.address", Absent),
        ("network.peer.port", Absent),
        ("user_agent.original", Absent),
        ("http.request.method", Str("GET")),
        ("url.path", Str("/")),
    ];
    table(
        || TraceLayer::server().personal_data(false),
        &[(forwarded, rows)],
    )
    .await;
    // Trusted proxies and opt-in attributes do not change that.
    table(
        || {
            TraceLayer::server()
                .personal_data(false)
                .trusted_proxies(TrustedProxies::all())
                .opt_in([OptIn::ClientPort, OptIn::UserAgent])
        },
        &[(forwarded, rows)],
    )
    .await;
}

#[tokio::test]
async fn opt_in_attributes_are_absent_by_default() {
    for backend in Backend::ALL {
        let server = Server::with_connection_addresses(backend, TraceLayer::server()).await;
        let span = server
            .span_of("GET / HTTP/1.1\nUser-Agent: Googlebot/2.1")
            .await;
        assert_span_attributes(
            &span,
            &[
                ("client.port", Absent),
                ("network.local.address", Absent),
                ("network.local.port", Absent),
                ("network.transport", Absent),
                ("user_agent.synthetic.type", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn client_port_is_the_port_of_the_client_address_by_option() {
    let layer = || TraceLayer::server().opt_in([OptIn::ClientPort]);
    table(
        || layer().trusted_proxies(TrustedProxies::all()),
        &[
            (
                "GET / HTTP/1.1\nForwarded: for=\"192.0.2.1:4711\"",
                &[
                    ("client.address", Str("192.0.2.1")),
                    ("client.port", Int(4711)),
                ],
            ),
            (
                "GET / HTTP/1.1\nForwarded: for=192.0.2.1",
                &[
                    ("client.address", Str("192.0.2.1")),
                    ("client.port", Absent),
                ],
            ),
        ],
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

#[tokio::test]
async fn user_agent_synthetic_type_is_bot_or_test_by_option() {
    let agent = "user_agent.synthetic.type";
    table(
        || TraceLayer::server().opt_in([OptIn::UserAgentSynthetic]),
        &[
            (
                "GET / HTTP/1.1\nUser-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)",
                &[(agent, Str("bot"))],
            ),
            (
                "GET / HTTP/1.1\nUser-Agent: BINGBOT",
                &[(agent, Str("bot"))],
            ),
            (
                "GET / HTTP/1.1\nUser-Agent: AppInsights; AlwaysOn",
                &[(agent, Str("test"))],
            ),
            ("GET / HTTP/1.1\nUser-Agent: curl/8", &[(agent, Absent)]),
            ("GET / HTTP/1.1", &[(agent, Absent)]),
        ],
    )
    .await;
}

#[tokio::test]
async fn message_sizes_and_body_contents_are_absent_with_every_option() {
    table(
        everything,
        &[(
            "POST /users/7 HTTP/1.1\nContent-Length: 4\n\nbody",
            &[
                // A layer does not see the encoded head.
                ("http.request.size", Absent),
                ("http.response.size", Absent),
                // Bodies are unbounded and can contain secrets.
                ("http.request.body.content", Absent),
                ("http.response.body.content", Absent),
            ],
        )],
    )
    .await;
}

#[tokio::test]
async fn headers_and_sizes_are_absent_by_default() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let span = server
            .span_of("POST /users/7 HTTP/1.1\nAccept: */*\nContent-Length: 4\n\nbody")
            .await;
        for attribute in &span.attributes {
            let key = attribute.key.as_str();
            assert!(!key.contains(".header.") && !key.contains(".size"), "{key}");
        }
    }
}

#[tokio::test]
async fn http_request_header_is_an_array_of_all_values_under_the_lowercase_name() {
    table(
        || {
            TraceLayer::server().capture_request_headers([
                HeaderName::from_bytes(b"X-Tenant").unwrap(),
                header::AUTHORIZATION,
                header::PROXY_AUTHORIZATION,
                header::COOKIE,
            ])
        },
        &[(
            "GET / HTTP/1.1\nX-Tenant: a\nX-TENANT: b, c\nX-Other: d\n\
             Authorization: Bearer s3cr3t\nProxy-Authorization: Basic s3cr3t\n\
             Cookie: a=s3cr3t\nCookie: b=s3cr3t",
            &[
                ("http.request.header.x-tenant", List(&["a", "b, c"])),
                ("http.request.header.x-other", Absent),
                ("http.request.header.authorization", List(&["REDACTED"])),
                (
                    "http.request.header.proxy-authorization",
                    List(&["REDACTED"]),
                ),
                (
                    "http.request.header.cookie",
                    List(&["REDACTED", "REDACTED"]),
                ),
            ],
        )],
    )
    .await;
}

#[tokio::test]
async fn http_response_header_is_an_array_of_all_values_under_the_lowercase_name() {
    async fn handler() -> Response {
        let mut response = Response::default();
        let headers = response.headers_mut();
        headers.append("x-tenant", HeaderValue::from_static("a"));
        headers.append("x-tenant", HeaderValue::from_static("b"));
        headers.append("x-binary", HeaderValue::from_bytes(b"\xff").unwrap());
        headers.append(header::SET_COOKIE, HeaderValue::from_static("a=s3cr3t"));
        let mut secret = HeaderValue::from_static("s3cr3t");
        secret.set_sensitive(true);
        headers.append("x-token", secret);
        response
    }
    for backend in Backend::ALL {
        let captured = ["x-tenant", "x-binary", "x-token", "x-absent", "set-cookie"];
        let layer =
            TraceLayer::server().capture_response_headers(captured.map(HeaderName::from_static));
        let router = Router::new().route("/", any(handler));
        let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
        assert_span_attributes(
            &server.span_of("GET / HTTP/1.1").await,
            &[
                ("http.response.header.x-tenant", List(&["a", "b"])),
                ("http.response.header.x-binary", Absent),
                ("http.response.header.x-absent", Absent),
                ("http.response.header.x-token", List(&["REDACTED"])),
                ("http.response.header.set-cookie", List(&["REDACTED"])),
            ],
        );
    }
}

#[tokio::test]
async fn body_sizes_are_integers_by_option() {
    table(
        || TraceLayer::server().body_sizes(),
        &[
            (
                "POST /users/7 HTTP/1.1\nContent-Length: 4\n\nbody",
                &[
                    ("http.request.body.size", Int(4)),
                    ("http.response.body.size", Int(6)),
                ],
            ),
            (
                "GET /status/204 HTTP/1.1",
                &[
                    ("http.request.body.size", Absent),
                    ("http.response.body.size", Int(0)),
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn error_type_is_the_status_of_a_server_error_and_absent_on_success() {
    table(
        TraceLayer::server,
        &[
            ("GET /users/7 HTTP/1.1", &[("error.type", Absent)]),
            ("GET /moved HTTP/1.1", &[("error.type", Absent)]),
            ("GET /nowhere HTTP/1.1", &[("error.type", Absent)]),
            ("GET /status/500 HTTP/1.1", &[("error.type", Str("500"))]),
            ("GET /status/503 HTTP/1.1", &[("error.type", Str("503"))]),
        ],
    )
    .await;
}

// ---- Names, status, errors --------------------------------------------------------------------

#[tokio::test]
async fn the_span_name_is_the_method_and_the_route_without_the_path() {
    names(
        TraceLayer::server,
        &[
            ("GET /users/7 HTTP/1.1", "GET /users/{id}"),
            ("QUERY /users/7 HTTP/1.1", "QUERY /users/{id}"),
            ("GET /nowhere/7 HTTP/1.1", "GET"),
            ("OPTIONS * HTTP/1.1", "OPTIONS"),
            ("PURGE /users/7 HTTP/1.1", "HTTP /users/{id}"),
            ("get /users/7 HTTP/1.1", "HTTP /users/{id}"),
            ("PURGE /nowhere/7 HTTP/1.1", "HTTP"),
        ],
    )
    .await;
}

#[tokio::test]
async fn known_methods_can_be_replaced() {
    let layer = || TraceLayer::server().known_methods(KnownMethods::new(["PURGE", "GET"]));
    names(
        layer,
        &[
            ("PURGE /users/7 HTTP/1.1", "PURGE /users/{id}"),
            ("GET /users/7 HTTP/1.1", "GET /users/{id}"),
            ("POST /users/7 HTTP/1.1", "HTTP /users/{id}"),
        ],
    )
    .await;
    table(
        layer,
        &[
            (
                "PURGE /users/7 HTTP/1.1",
                &[("http.request.method", Str("PURGE"))],
            ),
            (
                "POST /users/7 HTTP/1.1",
                &[
                    ("http.request.method", Str("_OTHER")),
                    ("http.request.method_original", Str("POST")),
                ],
            ),
        ],
    )
    .await;
}

/// Runs in a separate process, because all threads share the environment.
#[test]
fn known_methods_can_be_replaced_by_the_environment() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "with_known_methods_from_the_environment",
        ])
        .env("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PURGE, GET")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
}

#[tokio::test]
#[ignore = "the test above runs it, in an environment of its own"]
async fn with_known_methods_from_the_environment() {
    names(
        TraceLayer::server,
        &[
            ("PURGE /users/7 HTTP/1.1", "PURGE /users/{id}"),
            ("GET /users/7 HTTP/1.1", "GET /users/{id}"),
            ("POST /users/7 HTTP/1.1", "HTTP /users/{id}"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_span_status_is_error_from_500_up_and_never_ok_or_described() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        for (code, status) in [
            (200, Status::Unset),
            (204, Status::Unset),
            (302, Status::Unset),
            (400, Status::Unset),
            (404, Status::Unset),
            (499, Status::Unset),
            (500, Status::error("")),
            (503, Status::error("")),
            (599, Status::error("")),
            (600, Status::error("")),
            (999, Status::error("")),
        ] {
            let span = server
                .span_of(&format!("GET /status/{code} HTTP/1.1"))
                .await;
            assert_eq!(span.status, status, "{code}");
            let code = i64::from(code);
            assert_span_attributes(&span, &[("http.response.status_code", Int(code))]);
        }
    }
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_with_any_status_code() {
    for backend in Backend::ALL {
        let body = || async {
            Response::new(axum::body::Body::new(ScriptedBody::new([
                Step::Data("a"),
                Step::Error,
            ])))
        };
        let router = Router::new().route("/", any(body));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Int(200)),
                ("error.type", Str("timeout")),
            ],
        );
    }
}

#[tokio::test]
async fn a_disconnect_before_the_response_is_an_error_without_a_status_code() {
    for backend in Backend::ALL {
        let started = Arc::new(Notify::new());
        let handler_started = Arc::clone(&started);
        let handler = move || {
            handler_started.notify_one();
            std::future::pending::<StatusCode>()
        };
        let router = Router::new().route("/stall", any(handler));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let mut connection = ClientConnection::connect(Http::One, server.address).await;
        let request = http::Request::get("/stall").body(Empty::new()).unwrap();
        tokio::select! {
            _ = connection.send(request) => panic!("unexpected response"),
            () = with_timeout("the handler runs", started.notified()) => {}
        }
        connection.close();
        let span = server.next_span().await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Absent),
                ("error.type", Str("cancelled")),
            ],
        );
    }
}

#[tokio::test]
async fn a_service_error_is_recorded_by_class_without_its_message() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let error = std::io::Error::other("user 42 has the password s3cr3t");
            Err::<http::Response<Full<bytes::Bytes>>, _>(error)
        });
        let address = backend
            .serve(&telemetry, TraceLayer::server(), service)
            .await;
        let server = Server::running_at(backend, telemetry, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Absent),
                ("error.type", Str("_OTHER")),
            ],
        );
    }
}

#[tokio::test]
async fn errors_are_not_span_events_by_default() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        assert!(
            server
                .span_of("GET /status/500 HTTP/1.1")
                .await
                .events
                .is_empty()
        );
    }
}

/// The logged events, each with the current span.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Record>>>);

type Record = (SpanId, Vec<String>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Fields(Vec<String>);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0.push(format!("{field}={value:?}"));
            }
        }
        if event.metadata().target() == "tower_otel_trace" {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            let span = Context::current().span().span_context().span_id();
            self.0.lock().unwrap().push((span, fields.0));
        }
    }
}

#[tokio::test]
async fn an_exception_is_logged_once_inside_its_span_by_option() {
    #[derive(Debug)]
    struct Slow(std::io::Error);

    impl std::fmt::Display for Slow {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("too slow")
        }
    }

    impl std::error::Error for Slow {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let cause = std::io::Error::from(std::io::ErrorKind::TimedOut);
            let error: BoxError = Box::new(Slow(cause));
            Err::<http::Response<Full<bytes::Bytes>>, _>(error)
        });
        let layer = TraceLayer::server().exceptions();
        let address = backend.serve(&telemetry, layer, service).await;
        // Only the tracing backend needs the subscriber of the telemetry.
        let log = Log::default();
        let logged = tracing_subscriber::registry().with(log.clone());
        let guard =
            (!backend.opens_tracing_spans()).then(|| tracing::subscriber::set_default(logged));
        let server = Server::running_at(backend, telemetry, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        drop(guard);
        let records = match backend {
            Backend::Tracing | Backend::TracingRecorder => span
                .events
                .events
                .iter()
                .map(|event| {
                    let fields = event.attributes.iter();
                    let fields = fields.map(|field| format!("{}={}", field.key, field.value));
                    fields
                        .filter(|field| field.starts_with("exception."))
                        .collect::<Vec<_>>()
                })
                .collect::<Vec<_>>(),
            Backend::Tracer | Backend::Recorder => log
                .0
                .lock()
                .unwrap()
                .iter()
                .map(|(current, fields)| {
                    assert_eq!(*current, span.span_context.span_id());
                    let fields = fields
                        .iter()
                        .filter(|field| field.starts_with("exception."));
                    fields
                        .map(|field| field.replace('"', "").replace("\\n", "\n"))
                        .collect()
                })
                .collect(),
        };
        let [fields] = records.as_slice() else {
            panic!("one record, not {records:#?}");
        };
        assert_eq!(fields[1], "exception.message=too slow");
        assert!(fields[0].starts_with("exception.type="), "{fields:?}");
        assert_eq!(fields[2], "exception.stacktrace=caused by: timed out\n");
        assert_span_attributes(&span, &[("error.type", Str("timeout"))]);
    }
}

#[tokio::test]
async fn an_error_whose_text_panics_is_recorded_and_returned() {
    #[derive(Debug)]
    struct Unprintable;

    impl std::fmt::Display for Unprintable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }

    impl std::error::Error for Unprintable {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&Unprintable)
        }
    }

    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let failing = tower::service_fn(async |_: http::Request<()>| {
            Err::<http::Response<Full<bytes::Bytes>>, BoxError>(Box::new(Unprintable))
        });
        let layer = backend.layer(telemetry.source(), TraceLayer::server().exceptions());
        let log = Log::default();
        let logged = tracing_subscriber::registry().with(log.clone());
        let _guard = tracing::subscriber::set_default(logged);
        let service = tower::Layer::layer(&layer, failing);
        let response = tower::ServiceExt::oneshot(service, http::Request::new(())).await;
        assert!(response.unwrap_err().is::<Unprintable>());
        let logged = format!("{:?}", log.0.lock().unwrap());
        let texts = logged.matches("<panicked while formatting>").count();
        assert_eq!(texts, 2, "message and causes: {logged}");
    }
}

#[tokio::test]
async fn an_error_whose_source_panics_is_classified_by_its_type() {
    #[derive(Debug)]
    struct Sourceless;

    impl std::fmt::Display for Sourceless {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }

    impl std::error::Error for Sourceless {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            panic!("no source")
        }
    }

    for layer in [TraceLayer::server, || TraceLayer::server().exceptions()] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let failing = tower::service_fn(async |_: http::Request<()>| {
                Err::<http::Response<Full<bytes::Bytes>>, BoxError>(Box::new(Sourceless))
            });
            let service = tower::ServiceBuilder::new()
                .layer(backend.layer(telemetry.source(), layer()))
                .layer(tower_otel_metrics::MetricsLayer::server())
                .service(failing);
            let response = tower::ServiceExt::oneshot(service, http::Request::new(())).await;
            assert!(response.unwrap_err().is::<Sourceless>());
            let spans = telemetry.spans();
            let [span] = spans.as_slice() else {
                panic!("one span, not {spans:#?}");
            };
            assert_span_attributes(span, &[("error.type", Str("_OTHER"))]);
            assert!(matches!(span.status, Status::Error { .. }));
            let labels = [("status", "error")];
            assert_eq!(telemetry.sum("http_requests_total", &labels), 1.0);
        }
    }
}

#[tokio::test]
async fn spans_opened_by_a_handler_are_children() {
    async fn handler() {
        tracing::info_span!("the handler's own").in_scope(|| ());
    }
    for backend in Backend::ALL {
        let router = Router::new().route("/", any(handler));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        server.send("GET / HTTP/1.1").await;
        server
            .telemetry
            .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
            .await;
        let spans = server.telemetry.spans();
        assert_eq!(spans[0].name, "the handler's own");
        assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
        assert_eq!(spans[1].span_kind, SpanKind::Server);
    }
}

// ---- Sampling, propagation, scope -------------------------------------------------------------

#[tokio::test]
async fn samplers_get_the_name_and_the_attributes_known_at_the_start() {
    for backend in Backend::ALL {
        let sampler = RecordingSampler::default();
        let telemetry = TestTelemetry::with_sampler_and_filter(sampler.clone(), LevelFilter::INFO);
        let server = Server::with_router(backend, telemetry, TraceLayer::server(), app()).await;
        server
            .span_of(
                "PURGE /users/7?sig=s3cr3t HTTP/1.1\nHost: api.example:8443\nUser-Agent: a browser",
            )
            .await;
        let inputs = sampler.inputs();
        let [input] = inputs.as_slice() else {
            panic!("one decision, not {inputs:#?}");
        };
        assert_eq!(input.name, "HTTP /users/{id}");
        assert_eq!(input.kind, SpanKind::Server);
        assert_attributes(
            &input.attributes,
            &[
                ("http.request.method", Str("_OTHER")),
                ("http.route", Str("/users/{id}")),
                ("url.path", Str("/users/7")),
                ("url.query", Str("sig=REDACTED")),
                ("url.scheme", Str("http")),
                ("server.address", Str("api.example")),
                ("server.port", Int(8443)),
                ("client.address", Str("127.0.0.1")),
                ("user_agent.original", Str("a browser")),
            ],
        );
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Returns a request with a parent. Its response has the trace headers of outgoing requests.
fn request_with_parent(flags: &str) -> String {
    format!("GET /context HTTP/1.1\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\ntracestate: a=b")
}

#[tokio::test]
async fn a_span_is_a_child_of_the_traceparent_of_the_request() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let head = server.send(&request_with_parent("01")).await;
        let span = server.next_span().await;
        assert_eq!(
            span.span_context.trace_id(),
            TraceId::from_hex(TRACE).unwrap()
        );
        assert_eq!(span.parent_span_id, SpanId::from_hex(PARENT).unwrap());
        assert!(span.parent_span_is_remote);
        let own = format!("00-{TRACE}-{}-01", span.span_context.span_id());
        assert_eq!(traceparent(&head), Some(own.as_str()));
        assert!(head.contains("tracestate: a=b"), "{head}");
    }
}

#[tokio::test]
async fn an_unsampled_span_is_propagated() {
    for backend in Backend::ALL {
        for (sampler, flags) in [
            (Sampler::AlwaysOff, "01"),
            (Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), "00"),
        ] {
            let telemetry = TestTelemetry::with_sampler_and_filter(sampler, LevelFilter::INFO);
            let server = Server::with_router(backend, telemetry, TraceLayer::server(), app()).await;
            let head = server.send(&request_with_parent(flags)).await;
            let header = traceparent(&head).expect("a traceparent is sent");
            assert!(header.starts_with(&format!("00-{TRACE}-")), "{header}");
            assert!(header.ends_with("-00"), "{header}");
            assert!(!header.contains(PARENT), "{header}");
            assert!(head.contains("tracestate: a=b"), "{head}");
            assert_eq!(server.telemetry.spans(), []);
        }
    }
}

#[tokio::test]
async fn a_request_excluded_by_the_filter_propagates_its_parent() {
    for backend in Backend::ALL {
        for filter in [
            Filter::skip_paths(["/context"]),
            Filter::skip_routes(["/context"]),
            Filter::new(|_| false),
        ] {
            let layer = TraceLayer::server().filter(filter);
            let server = Server::start(backend, layer).await;
            let head = server.send(&request_with_parent("01")).await;
            let parent = format!("00-{TRACE}-{PARENT}-01");
            assert_eq!(traceparent(&head), Some(parent.as_str()));
            assert!(head.contains("tracestate: a=b"), "{head}");
            assert_eq!(server.telemetry.spans(), []);
        }
    }
}

#[tokio::test]
async fn a_span_disabled_by_a_tracing_filter_propagates_its_parent() {
    let hidden = || {
        filter_fn(|metadata| {
            metadata.target() != "tower_otel_trace" && *metadata.level() <= Level::INFO
        })
    };
    let telemetry = TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, hidden());
    let server =
        Server::with_router(Backend::Tracing, telemetry, TraceLayer::server(), app()).await;
    let head = server.send(&request_with_parent("01")).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(traceparent(&head), Some(parent.as_str()));
    assert!(head.contains("tracestate: a=b"), "{head}");
    assert_eq!(server.telemetry.spans(), []);

    // The tracer backend does not use tracing, so its span is recorded.
    let telemetry = TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, hidden());
    let server = Server::with_router(Backend::Tracer, telemetry, TraceLayer::server(), app()).await;
    server.send(&request_with_parent("01")).await;
    assert_eq!(server.next_span().await.name, "GET /context");
}

#[tokio::test]
async fn a_request_without_a_parent_starts_a_trace() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let head = server.send("GET /context HTTP/1.1").await;
        let span = server.next_span().await;
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        let own = &span.span_context;
        let own = format!("00-{}-{}-01", own.trace_id(), own.span_id());
        assert_eq!(traceparent(&head), Some(own.as_str()));
    }
}

#[tokio::test]
async fn the_scope_has_a_name_a_version_and_the_schema() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let scope = server.span_of("GET / HTTP/1.1").await.instrumentation_scope;
        let (name, version) = match backend {
            Backend::Tracer | Backend::Recorder => ("tower-otel-trace", "0.1.0"),
            // The scope of the application, as in the documentation.
            Backend::Tracing | Backend::TracingRecorder => (SCOPE, env!("CARGO_PKG_VERSION")),
        };
        assert_eq!((scope.name(), scope.version()), (name, Some(version)));
        let schema = "https://opentelemetry.io/schemas/1.45.0";
        assert_eq!(scope.schema_url(), Some(schema));
    }
}

#[tokio::test]
async fn recorded_keys_are_exactly_those_of_the_conventions() {
    use std::collections::BTreeSet;
    use suite_tests::keys::{NOT_RECORDED, known_keys};

    let mut recorded = BTreeSet::new();
    for backend in Backend::ALL {
        let server = Server::with_connection_addresses(backend, everything()).await;
        // Unknown keys are found by `assert_valid_span`, which checks each span.
        for request in [
            "PURGE /users/7?a=b HTTP/1.1\nHost: a:81\nUser-Agent: Googlebot\nContent-Length: 1\n\nc",
            "GET /status/500 HTTP/1.1\nForwarded: for=\"192.0.2.1:4711\"",
        ] {
            let span = server.span_of(request).await;
            recorded.extend(
                span.attributes
                    .into_iter()
                    .map(|attribute| attribute.key.to_string()),
            );
        }
    }
    let missing: Vec<_> = known_keys(&SpanKind::Server)
        .iter()
        .filter(|key| !recorded.contains(**key))
        .collect();
    assert_eq!(missing, NOT_RECORDED.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_context_handler_has_no_context_without_a_layer() {
    // The tests above depend on this: without a layer, no trace headers are sent.
    let router = Router::new().route("/context", any(context));
    let server = Server::serve_router(Backend::Tracer, TestTelemetry::new(), router).await;
    let head = server.send(&request_with_parent("01")).await;
    assert_eq!(traceparent(&head), None);
}
