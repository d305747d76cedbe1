//! The conventions for the spans of a server, row by row, over real sockets and through both
//! backends.

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
    net::{BoxError, Http, Script, Step, Wire},
    sampler::Shown,
    scene::{SCOPE, Scene, within},
    server::{Server, app, context, raw, traceparent},
    table::{Absent, Int, List, Row, Str, says, tells},
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

/// Sends each request as it is written, and asks its span for the rows.
async fn table(layer: impl Fn() -> TraceLayer, cases: &[(&str, &[Row<'_>])]) {
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        for (request, rows) in cases {
            let span = server.span_of(request).await;
            assert_eq!(span.span_kind, SpanKind::Server);
            says(&span, rows);
        }
    }
}

/// The same for names.
async fn names(layer: impl Fn() -> TraceLayer, cases: &[(&str, &str)]) {
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        for (request, name) in cases {
            assert_eq!(server.span_of(request).await.name, *name, "{request}");
        }
    }
}

/// The span of a request over HTTP/2.
async fn over_http2(server: &Server, uri: &str) -> SpanData {
    let mut wire = Wire::connect(Http::Two, server.address).await;
    let request = http::Request::get(uri)
        .version(Version::HTTP_2)
        .body(Empty::new())
        .unwrap();
    let response = within("a response comes", wire.send(request))
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();
    server.span().await
}

/// Every option there is.
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
async fn http_request_method_is_other_where_it_is_not_known() {
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
            // There is no path in the target of a CONNECT, and so none in its span.
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
async fn url_scheme_is_that_of_an_absolute_target_where_there_is_one() {
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
            says(&span, &[("url.scheme", Str(scheme))]);
        }
    }
}

#[tokio::test]
async fn url_scheme_is_that_which_a_trusted_proxy_forwards() {
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
    // A proxy in front of a server that speaks TLS itself knows better.
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
async fn url_query_is_there_if_the_request_has_one() {
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
async fn url_query_hides_the_values_of_sensitive_keys() {
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
            // Keys are compared by case, and as a server decodes them.
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
async fn sensitive_query_keys_replace_the_list() {
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
async fn http_route_is_the_template_of_the_route_that_matched() {
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
async fn server_port_is_there_where_one_was_written_beside_an_address() {
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
async fn server_address_is_that_of_the_host_header() {
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
            // Either may be the one that another hop believed.
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
async fn server_address_is_that_of_the_authority_before_that_of_the_host_header() {
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
            says(
                &span,
                &[("server.address", Str(address)), ("server.port", port)],
            );
        }
    }
}

#[tokio::test]
async fn server_address_is_that_which_a_trusted_proxy_forwards_before_any_other() {
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
async fn client_address_is_the_peer_where_no_proxy_is_trusted() {
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
async fn client_address_is_the_first_hop_that_is_no_trusted_proxy() {
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
            let ours = ["127.0.0.0/8", "10.0.0.0/8"];
            TraceLayer::server().trusted_proxies(TrustedProxies::cidrs(ours).unwrap())
        },
        &[
            (x, &is("203.0.113.7")),
            (rfc, &is("203.0.113.7")),
            (ipv6, &is("2001:db8::7")),
            ("GET / HTTP/1.1", &is("127.0.0.1")),
            // Our own proxy hides it: nobody else is taken for the client.
            (
                "GET / HTTP/1.1\nForwarded: for=_hidden",
                &[("client.address", Absent)],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn only_the_family_of_headers_is_read_that_the_proxies_write() {
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
        let (_, stream) = raw(server.address, request).await;
        let port = stream.local_addr().unwrap().port();
        says(
            &server.span().await,
            &[
                ("network.peer.address", Str("127.0.0.1")),
                ("network.peer.port", Int(port.into())),
                ("client.address", Str("203.0.113.7")),
            ],
        );
    }
}

#[tokio::test]
async fn network_peer_address_and_port_are_those_that_a_server_left_in_the_request() {
    for backend in Backend::ALL {
        for (peer, address, port) in [
            ("192.0.2.1:4711", "192.0.2.1", Int(4711)),
            ("[2001:db8::1]:4711", "2001:db8::1", Int(4711)),
            ("[::ffff:192.0.2.1]:4711", "192.0.2.1", Int(4711)),
            ("192.0.2.1:0", "192.0.2.1", Absent),
        ] {
            let leave = MapRequestLayer::new(move |mut request: Request| {
                let peer = PeerAddr(peer.parse().unwrap());
                request.extensions_mut().insert(peer);
                request
            });
            let scene = Scene::new();
            let router = backend
                .around(&scene, TraceLayer::server(), app())
                .layer(leave);
            let server = Server::listen(backend, scene, router).await;
            says(
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
async fn nobody_is_named_where_nobody_knows_the_peer() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let address = backend.serve(&scene, TraceLayer::server(), app()).await;
        let server = Server::at(backend, scene, address);
        says(
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
async fn network_protocol_version_is_written_as_the_conventions_write_it() {
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
        says(&span, &[("network.protocol.version", Str("2"))]);
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
async fn user_agent_original_is_there_if_the_header_is() {
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
async fn personal_data_is_left_out_by_one_switch() {
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
    // Neither who is trusted nor what else is asked for changes that.
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
async fn what_is_opt_in_is_absent_unless_asked_for() {
    for backend in Backend::ALL {
        let server = Server::of_ends(backend, TraceLayer::server()).await;
        let span = server
            .span_of("GET / HTTP/1.1\nUser-Agent: Googlebot/2.1")
            .await;
        says(
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
async fn client_port_is_that_beside_the_address_by_option() {
    let asked = || TraceLayer::server().opt_in([OptIn::ClientPort]);
    table(
        || asked().trusted_proxies(TrustedProxies::all()),
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
        let server = Server::start(backend, asked()).await;
        let (_, stream) = raw(server.address, "GET / HTTP/1.1").await;
        let port = stream.local_addr().unwrap().port();
        says(&server.span().await, &[("client.port", Int(port.into()))]);
    }
}

#[tokio::test]
async fn network_local_address_and_port_are_this_end_of_the_connection_by_option() {
    for backend in Backend::ALL {
        let layer = TraceLayer::server().opt_in([OptIn::NetworkLocal]);
        let server = Server::of_ends(backend, layer).await;
        let (_, stream) = raw(server.address, "GET / HTTP/1.1").await;
        let there = stream.local_addr().unwrap().port();
        says(
            &server.span().await,
            &[
                ("network.local.address", Str("127.0.0.1")),
                ("network.local.port", Int(server.address.port().into())),
                ("network.peer.address", Str("127.0.0.1")),
                ("network.peer.port", Int(there.into())),
            ],
        );
    }
}

#[tokio::test]
async fn network_local_address_is_absent_where_nobody_knows_it() {
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 8080));
    for local in [None, Some(LocalAddr(unspecified))] {
        for backend in Backend::ALL {
            let scene = Scene::new();
            let layer = TraceLayer::server().opt_in([OptIn::NetworkLocal]);
            let router = backend.around(&scene, layer, app());
            let router = router.layer(MapRequestLayer::new(move |mut request: Request| {
                local.map(|local| request.extensions_mut().insert(local));
                request
            }));
            let server = Server::listen(backend, scene, router).await;
            says(
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
async fn network_transport_is_tcp_by_option_where_the_peer_is_known() {
    let asked = || TraceLayer::server().opt_in([OptIn::NetworkTransport]);
    for backend in Backend::ALL {
        let server = Server::start(backend, asked()).await;
        let tcp = [("network.transport", Str("tcp"))];
        says(&server.span_of("GET / HTTP/1.1").await, &tcp);
        says(&over_http2(&server, "http://a/").await, &tcp);

        // As on a Unix socket, whose peers have no addresses.
        let scene = Scene::new();
        let address = backend.serve(&scene, asked(), app()).await;
        let server = Server::at(backend, scene, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        says(&span, &[("network.transport", Absent)]);
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
async fn sizes_of_messages_and_contents_of_bodies_are_not_offered_whatever_is_switched_on() {
    table(
        everything,
        &[(
            "POST /users/7 HTTP/1.1\nContent-Length: 4\n\nbody",
            &[
                // The head on the wire is never seen by a layer.
                ("http.request.size", Absent),
                ("http.response.size", Absent),
                // A body has no bound, and may hold secrets.
                ("http.request.body.content", Absent),
                ("http.response.body.content", Absent),
            ],
        )],
    )
    .await;
}

#[tokio::test]
async fn no_header_and_no_size_is_recorded_unless_asked_for() {
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
async fn http_request_header_is_an_array_of_all_its_lines_under_its_lower_case_name() {
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
async fn http_response_header_is_an_array_of_all_its_lines_under_its_lower_case_name() {
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
        let wanted = ["x-tenant", "x-binary", "x-token", "x-absent", "set-cookie"];
        let layer =
            TraceLayer::server().capture_response_headers(wanted.map(HeaderName::from_static));
        let router = Router::new().route("/", any(handler));
        let server = Server::of(backend, Scene::new(), layer, router).await;
        says(
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
async fn the_name_is_the_method_and_the_route_and_never_the_path() {
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

/// The environment belongs to a process, so this is one of its own.
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
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
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
async fn the_status_is_an_error_from_500_on_and_never_ok_and_has_no_description() {
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
            says(&span, &[("http.response.status_code", Int(code))]);
        }
    }
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_whatever_its_status() {
    for backend in Backend::ALL {
        let body = || async {
            Response::new(axum::body::Body::new(Script::of([
                Step::Data("a"),
                Step::Error,
            ])))
        };
        let router = Router::new().route("/", any(body));
        let server = Server::of(backend, Scene::new(), TraceLayer::server(), router).await;
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::error(""));
        says(
            &span,
            &[
                ("http.response.status_code", Int(200)),
                ("error.type", Str("timeout")),
            ],
        );
    }
}

#[tokio::test]
async fn a_client_that_disconnects_is_an_error_and_there_is_no_status_code() {
    for backend in Backend::ALL {
        let begun = Arc::new(Notify::new());
        let begins = Arc::clone(&begun);
        let handler = move || {
            begins.notify_one();
            std::future::pending::<StatusCode>()
        };
        let router = Router::new().route("/stall", any(handler));
        let server = Server::of(backend, Scene::new(), TraceLayer::server(), router).await;
        let mut wire = Wire::connect(Http::One, server.address).await;
        let request = http::Request::get("/stall").body(Empty::new()).unwrap();
        tokio::select! {
            _ = wire.send(request) => panic!("nobody answers"),
            () = within("the handler runs", begun.notified()) => {}
        }
        wire.cut();
        let span = server.span().await;
        assert_eq!(span.status, Status::error(""));
        says(
            &span,
            &[
                ("http.response.status_code", Absent),
                ("error.type", Str("cancelled")),
            ],
        );
    }
}

#[tokio::test]
async fn a_service_that_fails_is_an_error_of_a_class_and_not_of_its_message() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let error = std::io::Error::other("user 42 has the password s3cr3t");
            Err::<http::Response<Full<bytes::Bytes>>, _>(error)
        });
        let address = backend.serve(&scene, TraceLayer::server(), service).await;
        let server = Server::at(backend, scene, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::error(""));
        says(
            &span,
            &[
                ("http.response.status_code", Absent),
                ("error.type", Str("_OTHER")),
            ],
        );
    }
}

#[tokio::test]
async fn no_error_is_an_event_of_the_span_unless_asked_for() {
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

/// What was logged, and the span that was current meanwhile.
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
async fn an_exception_is_logged_once_inside_of_its_span_by_option() {
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
        let scene = Scene::new();
        let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let cause = std::io::Error::from(std::io::ErrorKind::TimedOut);
            let error: BoxError = Box::new(Slow(cause));
            Err::<http::Response<Full<bytes::Bytes>>, _>(error)
        });
        let layer = TraceLayer::server().exceptions();
        let address = backend.serve(&scene, layer, service).await;
        // The spans of tracing need the subscriber of the scene; the others need none.
        let log = Log::default();
        let logged = tracing_subscriber::registry().with(log.clone());
        let guard =
            (!backend.opens_tracing_spans()).then(|| tracing::subscriber::set_default(logged));
        let server = Server::at(backend, scene, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        drop(guard);
        let told = match backend {
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
        let [fields] = told.as_slice() else {
            panic!("one record, not {told:#?}");
        };
        assert_eq!(fields[1], "exception.message=too slow");
        assert!(fields[0].starts_with("exception.type="), "{fields:?}");
        assert_eq!(fields[2], "exception.stacktrace=caused by: timed out\n");
        says(&span, &[("error.type", Str("timeout"))]);
    }
}

#[tokio::test]
async fn spans_that_a_handler_opens_are_children() {
    async fn handler() {
        tracing::info_span!("the handler's own").in_scope(|| ());
    }
    for backend in Backend::ALL {
        let router = Router::new().route("/", any(handler));
        let server = Server::of(backend, Scene::new(), TraceLayer::server(), router).await;
        server.ask("GET / HTTP/1.1").await;
        server
            .scene
            .until("both spans end", |scene| scene.spans().len() == 2)
            .await;
        let spans = server.scene.spans();
        assert_eq!(spans[0].name, "the handler's own");
        assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
        assert_eq!(spans[1].span_kind, SpanKind::Server);
    }
}

// ---- Sampling, propagation, scope -------------------------------------------------------------

#[tokio::test]
async fn what_samplers_need_is_there_when_they_are_asked() {
    for backend in Backend::ALL {
        let sampler = Shown::default();
        let scene = Scene::with(sampler.clone(), LevelFilter::INFO);
        let server = Server::of(backend, scene, TraceLayer::server(), app()).await;
        server
            .span_of(
                "PURGE /users/7?sig=s3cr3t HTTP/1.1\nHost: api.example:8443\nUser-Agent: a browser",
            )
            .await;
        let samples = sampler.samples();
        let [sample] = samples.as_slice() else {
            panic!("one decision, not {samples:#?}");
        };
        assert_eq!(sample.name, "HTTP /users/{id}");
        assert_eq!(sample.kind, SpanKind::Server);
        tells(
            &sample.attributes,
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

/// A request with a parent, whose answer tells what would go on from here.
fn asking(flags: &str) -> String {
    format!("GET /context HTTP/1.1\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\ntracestate: a=b")
}

#[tokio::test]
async fn a_span_is_the_child_of_the_span_that_the_request_names() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let head = server.ask(&asking("01")).await;
        let span = server.span().await;
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
async fn a_span_that_is_not_sampled_still_propagates() {
    for backend in Backend::ALL {
        for (sampler, flags) in [
            (Sampler::AlwaysOff, "01"),
            (Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), "00"),
        ] {
            let scene = Scene::with(sampler, LevelFilter::INFO);
            let server = Server::of(backend, scene, TraceLayer::server(), app()).await;
            let head = server.ask(&asking(flags)).await;
            let header = traceparent(&head).expect("the context goes on");
            assert!(header.starts_with(&format!("00-{TRACE}-")), "{header}");
            assert!(header.ends_with("-00"), "{header}");
            assert!(!header.contains(PARENT), "{header}");
            assert!(head.contains("tracestate: a=b"), "{head}");
            assert_eq!(server.scene.spans(), []);
        }
    }
}

#[tokio::test]
async fn a_span_that_the_layers_filter_leaves_out_still_propagates_its_parent() {
    for backend in Backend::ALL {
        for filter in [
            Filter::skip_paths(["/context"]),
            Filter::skip_routes(["/context"]),
            Filter::new(|_| false),
        ] {
            let layer = TraceLayer::server().filter(filter);
            let server = Server::start(backend, layer).await;
            let head = server.ask(&asking("01")).await;
            let parent = format!("00-{TRACE}-{PARENT}-01");
            assert_eq!(traceparent(&head), Some(parent.as_str()));
            assert!(head.contains("tracestate: a=b"), "{head}");
            assert_eq!(server.scene.spans(), []);
        }
    }
}

#[tokio::test]
async fn a_span_that_a_filter_of_tracing_hides_still_propagates_its_parent() {
    let hidden = || {
        filter_fn(|metadata| {
            metadata.target() != "tower_otel_trace" && *metadata.level() <= Level::INFO
        })
    };
    let scene = Scene::with(Sampler::AlwaysOn, hidden());
    let server = Server::of(Backend::Tracing, scene, TraceLayer::server(), app()).await;
    let head = server.ask(&asking("01")).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(traceparent(&head), Some(parent.as_str()));
    assert!(head.contains("tracestate: a=b"), "{head}");
    assert_eq!(server.scene.spans(), []);

    // The other backend asks nothing of tracing: its span is there.
    let scene = Scene::with(Sampler::AlwaysOn, hidden());
    let server = Server::of(Backend::Tracer, scene, TraceLayer::server(), app()).await;
    server.ask(&asking("01")).await;
    assert_eq!(server.span().await.name, "GET /context");
}

#[tokio::test]
async fn without_a_parent_a_span_begins_a_trace() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let head = server.ask("GET /context HTTP/1.1").await;
        let span = server.span().await;
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
            // The application's, made as the documentation says.
            Backend::Tracing | Backend::TracingRecorder => (SCOPE, env!("CARGO_PKG_VERSION")),
        };
        assert_eq!((scope.name(), scope.version()), (name, Some(version)));
        let schema = "https://opentelemetry.io/schemas/1.44.0";
        assert_eq!(scope.schema_url(), Some(schema));
    }
}

#[tokio::test]
async fn every_key_and_no_other_is_in_the_conventions() {
    use std::collections::BTreeSet;
    use suite_tests::keys::{NOT_RECORDED, known_keys};

    let mut told = BTreeSet::new();
    for backend in Backend::ALL {
        let server = Server::of_ends(backend, everything()).await;
        // Each span is looked at when it is taken, for keys that are not in the list.
        for request in [
            "PURGE /users/7?a=b HTTP/1.1\nHost: a:81\nUser-Agent: Googlebot\nContent-Length: 1\n\nc",
            "GET /status/500 HTTP/1.1\nForwarded: for=\"192.0.2.1:4711\"",
        ] {
            let span = server.span_of(request).await;
            told.extend(
                span.attributes
                    .into_iter()
                    .map(|attribute| attribute.key.to_string()),
            );
        }
    }
    let silent: Vec<_> = known_keys(&SpanKind::Server)
        .iter()
        .filter(|key| !told.contains(**key))
        .collect();
    assert_eq!(silent, NOT_RECORDED.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn context_is_a_handler_as_any_other() {
    // What the tests above rely on: without a layer nothing goes on.
    let router = Router::new().route("/context", any(context));
    let server = Server::listen(Backend::Tracer, Scene::new(), router).await;
    let head = server.ask(&asking("01")).await;
    assert_eq!(traceparent(&head), None);
}
