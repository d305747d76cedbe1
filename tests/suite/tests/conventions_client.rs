//! The attributes of client spans by the conventions, over real sockets, with hyper-util's client,
//! reqwest and every span backend.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    cell::Cell,
    collections::BTreeSet,
    future::{Ready, ready},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request as Received, routing::any};
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::Empty;
use opentelemetry::{
    Context,
    trace::{
        FutureExt, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState,
    },
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request, reqwest_client_to, single_connection_client},
    keys::{NOT_RECORDED, OPT_INS, known_keys},
    net::{Http, serve},
    sampler::RecordingSampler,
    server::{app, next_span, send_raw},
    table::{Absent, Int, List, Row, Str, assert_attributes, assert_span_attributes},
    telemetry::{TestTelemetry, with_timeout},
};
use tokio::net::{TcpListener, TcpSocket};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
};
use tower_otel_core::{Attempts, Filter, PeerAddr, RequestHead, Route};
use tower_otel_propagate::PropagateLayer;
use tower_otel_semconv::{KnownMethods, SensitiveKeys};
use tower_otel_trace::{OptIn, TraceLayer};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, filter_fn};

/// A client and its recorded spans.
struct Client {
    backend: Backend,
    telemetry: TestTelemetry,
    layer: TraceLayer,
    server: SocketAddr,
    spans_returned: Cell<usize>,
}

#[derive(Clone, Copy, Debug)]
enum HttpClient {
    Hyper(Http),
    Reqwest(Http),
}

const HYPER: [HttpClient; 2] = [HttpClient::Hyper(Http::One), HttpClient::Hyper(Http::Two)];
const ALL: [HttpClient; 4] = [
    HttpClient::Hyper(Http::One),
    HttpClient::Hyper(Http::Two),
    HttpClient::Reqwest(Http::One),
    HttpClient::Reqwest(Http::Two),
];

impl Client {
    async fn new(backend: Backend, layer: TraceLayer) -> Self {
        Self::for_server(backend, layer, TestTelemetry::new(), serve(app()).await)
    }

    fn for_server(
        backend: Backend,
        layer: TraceLayer,
        telemetry: TestTelemetry,
        server: SocketAddr,
    ) -> Self {
        Self {
            backend,
            telemetry,
            layer,
            server,
            spans_returned: Cell::new(0),
        }
    }

    /// Sends `METHOD URL` to the server, for any host in the URL.
    async fn send(&self, http_client: HttpClient, line: &str) -> Option<StatusCode> {
        match http_client {
            HttpClient::Hyper(http) => {
                self.send_with(hyper_client_to(http, self.server), request(line))
                    .await
            }
            HttpClient::Reqwest(http) => {
                let (method, url) = line.split_once(' ').unwrap();
                let method = method.parse().unwrap();
                let request = reqwest::Request::new(method, url.parse().unwrap());
                self.send_reqwest_with(reqwest_client_to(http, self.server), request)
                    .await
            }
        }
    }

    async fn send_with<S, B>(&self, client: S, request: Request<Empty<Bytes>>) -> Option<StatusCode>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
        S::Error: std::fmt::Display + 'static,
        B: http_body::Body<Error: std::fmt::Display + 'static> + 'static,
    {
        let layer = self.layer.clone();
        self.backend
            .send(&self.telemetry, layer, client, request)
            .await
            .ok()
    }

    async fn send_reqwest_with(
        &self,
        client: reqwest::Client,
        request: reqwest::Request,
    ) -> Option<StatusCode> {
        let layer = self.layer.clone();
        self.backend
            .send_reqwest(&self.telemetry, layer, client, request)
            .await
            .ok()
    }

    async fn next_span(&self) -> SpanData {
        let span = next_span(&self.telemetry, self.backend, &self.spans_returned).await;
        assert_eq!(span.span_kind, SpanKind::Client);
        span
    }

    async fn span_of(&self, http_client: HttpClient, line: &str) -> SpanData {
        self.send(http_client, line).await;
        self.next_span().await
    }
}

/// Sends each request with these clients and checks the attributes of its span.
async fn table(
    clients: &[HttpClient],
    layer: impl Fn() -> TraceLayer,
    cases: &[(&str, &[Row<'_>])],
) {
    for backend in Backend::ALL {
        let client = Client::new(backend, layer()).await;
        for (line, rows) in cases {
            for http_client in clients {
                assert_span_attributes(&client.span_of(*http_client, line).await, rows);
            }
        }
    }
}

/// Returns a loopback address that refuses connections. The socket keeps its port from other tests.
fn refusing_server() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

// ---- Attributes -------------------------------------------------------------------------------

#[tokio::test]
async fn http_request_method_is_a_known_method_or_other() {
    table(
        &ALL,
        TraceLayer::client,
        &[
            (
                "QUERY http://api.example/users/7",
                &[
                    ("http.request.method", Str("QUERY")),
                    ("http.request.method_original", Absent),
                ],
            ),
            (
                "HEAD http://api.example/users/7",
                &[
                    ("http.request.method", Str("HEAD")),
                    ("http.request.method_original", Absent),
                ],
            ),
            (
                "PURGE http://api.example/users/7",
                &[
                    ("http.request.method", Str("_OTHER")),
                    ("http.request.method_original", Str("PURGE")),
                ],
            ),
            (
                "get http://api.example/users/7",
                &[
                    ("http.request.method", Str("_OTHER")),
                    ("http.request.method_original", Str("get")),
                ],
            ),
        ],
    )
    .await;
    table(
        &ALL,
        || TraceLayer::client().known_methods(KnownMethods::new(["PURGE"])),
        &[
            (
                "PURGE http://api.example/users/7",
                &[("http.request.method", Str("PURGE"))],
            ),
            (
                "GET http://api.example/users/7",
                &[
                    ("http.request.method", Str("_OTHER")),
                    ("http.request.method_original", Str("GET")),
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn server_address_and_port_come_from_the_url_or_the_scheme_default() {
    table(
        &ALL,
        TraceLayer::client,
        &[(
            "GET http://api.example/users/7",
            &[
                ("server.address", Str("api.example")),
                ("server.port", Int(80)),
            ],
        )],
    )
    .await;
    table(
        &HYPER,
        TraceLayer::client,
        &[
            (
                "GET https://api.example/users/7",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Int(443)),
                ],
            ),
            (
                "GET http://api.example:8080/users/7",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Int(8080)),
                ],
            ),
            (
                "GET https://[2001:db8::1]/users/7",
                &[
                    ("server.address", Str("2001:db8::1")),
                    ("server.port", Int(443)),
                ],
            ),
            (
                "GET http://[::1]:5000/users/7",
                &[("server.address", Str("::1")), ("server.port", Int(5000))],
            ),
            (
                "GET http://me:s3cr3t@api.example/users/7",
                &[
                    ("server.address", Str("api.example")),
                    ("server.port", Int(80)),
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn server_address_comes_from_the_host_header_if_the_target_has_none() {
    for backend in Backend::ALL {
        for (host, address, port) in [
            ("api.example:8443", "api.example", Int(8443)),
            ("[::1]:5000", "::1", Int(5000)),
            // Without a scheme there is no default port.
            ("api.example", "api.example", Absent),
        ] {
            let client = Client::new(backend, TraceLayer::client()).await;
            let mut request = request("GET /users/7");
            let headers = request.headers_mut();
            headers.insert(header::HOST, host.parse().unwrap());
            // A client on one connection accepts targets without a host.
            let service = single_connection_client(client.server).await;
            assert_eq!(
                client.send_with(service, request).await,
                Some(StatusCode::OK)
            );
            assert_span_attributes(
                &client.next_span().await,
                &[
                    ("server.address", Str(address)),
                    ("server.port", port),
                    // A URL without a host is not complete.
                    ("url.full", Absent),
                ],
            );
        }
    }
}

#[tokio::test]
async fn url_full_is_the_whole_url_without_credentials_and_secrets() {
    table(
        &HYPER,
        TraceLayer::client,
        &[
            (
                "GET http://api.example:8080/users/7?a=b",
                &[("url.full", Str("http://api.example:8080/users/7?a=b"))],
            ),
            (
                "GET https://me:s3cr3t@api.example/users/7?a=b&sig=s3cr3t&X-Amz-Signature=s3cr3t",
                &[(
                    "url.full",
                    Str(
                        "https://REDACTED:REDACTED@api.example/users/7?a=b&sig=REDACTED&X-Amz-Signature=REDACTED",
                    ),
                )],
            ),
            (
                "GET http://token@api.example/users/7",
                &[(
                    "url.full",
                    Str("http://REDACTED:REDACTED@api.example/users/7"),
                )],
            ),
        ],
    )
    .await;
    table(
        &ALL,
        TraceLayer::client,
        &[
            (
                "GET http://api.example/users/7?a=b",
                &[("url.full", Str("http://api.example/users/7?a=b"))],
            ),
            (
                "GET http://me:s3cr3t@api.example/users/7?sig=s3cr3t&a=b",
                &[(
                    "url.full",
                    Str("http://REDACTED:REDACTED@api.example/users/7?sig=REDACTED&a=b"),
                )],
            ),
        ],
    )
    .await;
    table(
        &ALL,
        || TraceLayer::client().sensitive_query_keys(SensitiveKeys::new(["token"])),
        &[(
            "GET http://api.example/users/7?token=s3cr3t&sig=open",
            &[(
                "url.full",
                Str("http://api.example/users/7?token=REDACTED&sig=open"),
            )],
        )],
    )
    .await;
}

#[tokio::test]
async fn url_full_is_the_url_before_redirects_that_reqwest_follows() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let http_client = HttpClient::Reqwest(Http::One);
        let status = client
            .send(http_client, "GET http://api.example/moved")
            .await;
        assert_eq!(status, Some(StatusCode::OK));
        assert_span_attributes(
            &client.next_span().await,
            &[
                ("url.full", Str("http://api.example/moved")),
                ("http.response.status_code", Int(200)),
                ("http.request.resend_count", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn http_response_status_code_is_the_received_status() {
    table(
        &ALL,
        TraceLayer::client,
        &[
            (
                "GET http://api.example/users/7",
                &[("http.response.status_code", Int(200))],
            ),
            (
                "GET http://api.example/nowhere",
                &[("http.response.status_code", Int(404))],
            ),
            (
                "GET http://api.example/status/503",
                &[("http.response.status_code", Int(503))],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn network_protocol_version_is_the_negotiated_one_and_absent_without_a_response() {
    let is = |version| [("network.protocol.version", Str(version))];
    let line = "GET http://api.example/users/7";
    for (http_client, version) in [
        (HttpClient::Hyper(Http::One), "1.1"),
        (HttpClient::Hyper(Http::Two), "2"),
        (HttpClient::Reqwest(Http::One), "1.1"),
        (HttpClient::Reqwest(Http::Two), "2"),
    ] {
        table(&[http_client], TraceLayer::client, &[(line, &is(version))]).await;
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

/// A policy that retries server errors.
#[derive(Clone)]
struct RetryServerErrors(u8);

impl<B, E> Policy<Request<Empty<Bytes>>, Response<B>, E> for RetryServerErrors {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _request: &mut Request<Empty<Bytes>>,
        result: &mut Result<Response<B>, E>,
    ) -> Option<Self::Future> {
        let failed = !matches!(result, Ok(response) if !response.status().is_server_error());
        self.0 = self.0.checked_sub(u8::from(failed))?;
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Empty<Bytes>>) -> Option<Request<Empty<Bytes>>> {
        Some(request.clone())
    }
}

/// Starts a server that responds 503, 503, 200 and stores every `traceparent`.
async fn succeeds_on_third_request() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let parents = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&parents);
    let times = Arc::new(AtomicU16::new(0));
    let handler = move |request: Received| {
        let parent = request.headers().get("traceparent").cloned().unwrap();
        received
            .lock()
            .unwrap()
            .push(parent.to_str().unwrap().to_owned());
        let third = times.fetch_add(1, Ordering::Relaxed) == 2;
        ready(if third {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        })
    };
    (serve(Router::new().route("/", any(handler))).await, parents)
}

#[tokio::test]
async fn every_attempt_has_its_own_span_and_retries_have_a_resend_count() {
    for backend in Backend::ALL {
        let (server, parents) = succeeds_on_third_request().await;
        let telemetry = TestTelemetry::new();
        let retry = RetryLayer::new(RetryServerErrors(5));
        let client_service = ServiceBuilder::new()
            .layer(PropagateLayer::new())
            .service(hyper_client_to(Http::One, server));
        let mut request = request("GET http://api.example/");
        request.extensions_mut().insert(Attempts::default());
        let layer = backend.layer(telemetry.source(), TraceLayer::client());
        let client = retry.layer(layer.layer(client_service));
        let status = client.oneshot(request).await.unwrap().status();
        assert_eq!(status, StatusCode::OK);
        telemetry
            .wait_until("three attempts end", |telemetry| {
                telemetry.spans().len() == 3
            })
            .await;
        let spans = telemetry.spans();
        let ids = spans.iter().map(|span| {
            let context = &span.span_context;
            format!("00-{}-{}-01", context.trace_id(), context.span_id())
        });
        assert_eq!(*parents.lock().unwrap(), ids.collect::<Vec<_>>());
        let expected = [
            (503, Str("503"), Absent),
            (503, Str("503"), Int(1)),
            (200, Absent, Int(2)),
        ];
        for (span, (code, error, resends)) in spans.iter().zip(expected) {
            assert_eq!(span.name, "GET");
            assert_span_attributes(
                span,
                &[
                    ("http.response.status_code", Int(code)),
                    ("error.type", error),
                    ("http.request.resend_count", resends),
                ],
            );
        }
    }
}

#[tokio::test]
async fn http_request_resend_count_is_absent_without_the_attempts_extension() {
    table(
        &ALL,
        TraceLayer::client,
        &[(
            "GET http://api.example/status/503",
            &[("http.request.resend_count", Absent)],
        )],
    )
    .await;
}

#[tokio::test]
async fn url_template_is_the_route_extension_and_part_of_the_span_name() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let client_service = hyper_client_to(Http::One, client.server);
        for (line, name) in [
            ("GET http://api.example/users/7", "GET /users/{id}"),
            ("PURGE http://api.example/users/7", "HTTP /users/{id}"),
        ] {
            let mut request = request(line);
            request.extensions_mut().insert(Route::from("/users/{id}"));
            client.send_with(client_service.clone(), request).await;
            let span = client.next_span().await;
            assert_eq!(span.name, name);
            assert_span_attributes(
                &span,
                &[("url.template", Str("/users/{id}")), ("http.route", Absent)],
            );
        }
    }
}

#[tokio::test]
async fn url_template_is_part_of_the_span_name_for_any_url_length() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let client_service = hyper_client_to(Http::One, client.server);
        for length in (0..400).step_by(25) {
            let mut request = request(&format!(
                "GET http://api.example/users/{}",
                "7".repeat(length)
            ));
            request.extensions_mut().insert(Route::from("/users/{id}"));
            client.send_with(client_service.clone(), request).await;
            let span = client.next_span().await;
            assert_eq!(span.name, "GET /users/{id}", "{length}");
            assert_span_attributes(&span, &[("url.template", Str("/users/{id}"))]);
        }
    }
}

#[tokio::test]
async fn url_template_is_the_result_of_the_route_function() {
    let template = |request: &dyn RequestHead| {
        let path = request.target().path;
        path.starts_with("/users/").then(|| "/users/{id}".into())
    };
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client().route(template)).await;
        for http_client in ALL {
            let span = client
                .span_of(http_client, "GET http://api.example/users/7")
                .await;
            assert_eq!(span.name, "GET /users/{id}");
            assert_span_attributes(&span, &[("url.template", Str("/users/{id}"))]);
            let span = client
                .span_of(http_client, "GET http://api.example/moved/7")
                .await;
            assert_eq!(span.name, "GET");
            assert_span_attributes(&span, &[("url.template", Absent)]);
        }
    }
}

#[tokio::test]
async fn headers_and_body_sizes_are_recorded_by_option() {
    for backend in Backend::ALL {
        let layer = TraceLayer::client()
            .body_sizes()
            .capture_request_headers([header::ACCEPT, header::AUTHORIZATION])
            .capture_response_headers([HeaderName::from_static("content-type")]);
        let client = Client::new(backend, layer).await;
        let mut request = request("POST http://api.example/users/7");
        let headers = request.headers_mut();
        headers.append(header::ACCEPT, "text/plain".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer s3cr3t".parse().unwrap());
        headers.append(header::CONTENT_LENGTH, "0".parse().unwrap());
        client
            .send_with(hyper_client_to(Http::One, client.server), request)
            .await;
        assert_span_attributes(
            &client.next_span().await,
            &[
                ("http.request.header.accept", List(&["*/*", "text/plain"])),
                ("http.request.header.authorization", List(&["REDACTED"])),
                (
                    "http.response.header.content-type",
                    List(&["text/plain; charset=utf-8"]),
                ),
                ("http.request.body.size", Int(0)),
                ("http.response.body.size", Int(6)),
            ],
        );
    }
}

/// Returns a layer with every option that adds attributes.
fn everything() -> TraceLayer {
    TraceLayer::client()
        .opt_in(OPT_INS)
        .body_sizes()
        .exceptions()
        .expose_span()
}

#[tokio::test]
async fn opt_in_attributes_are_absent_by_default() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let mut request = request("GET http://api.example/users/7");
        let bot = "Googlebot/2.1".parse().unwrap();
        request.headers_mut().insert(header::USER_AGENT, bot);
        let http = hyper_client_to(Http::One, client.server);
        client.send_with(http, request).await;
        assert_span_attributes(
            &client.next_span().await,
            &[
                ("url.scheme", Absent),
                ("user_agent.original", Absent),
                ("user_agent.synthetic.type", Absent),
                ("network.transport", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn url_scheme_is_the_scheme_of_the_url_by_option() {
    table(
        &ALL,
        || TraceLayer::client().opt_in([OptIn::UrlScheme]),
        &[(
            "GET http://api.example/users/7",
            &[("url.scheme", Str("http"))],
        )],
    )
    .await;
    // The server has no TLS; the scheme comes from the URL.
    table(
        &[HttpClient::Hyper(Http::One)],
        || TraceLayer::client().opt_in([OptIn::UrlScheme]),
        &[(
            "GET https://api.example/users/7",
            &[("url.scheme", Str("https"))],
        )],
    )
    .await;
}

#[tokio::test]
async fn user_agent_original_and_synthetic_type_are_recorded_by_option() {
    let layer = || TraceLayer::client().opt_in([OptIn::UserAgent, OptIn::UserAgentSynthetic]);
    for backend in Backend::ALL {
        for (client_layer, original) in [
            (layer(), Str("a Bingbot")),
            // `personal_data(false)` omits the user agent. Its type is not personal data.
            (layer().personal_data(false), Absent),
        ] {
            let client = Client::new(backend, client_layer).await;
            let mut request = request("GET http://api.example/users/7");
            let bot = "a Bingbot".parse().unwrap();
            request.headers_mut().insert(header::USER_AGENT, bot);
            let http = hyper_client_to(Http::One, client.server);
            client.send_with(http, request).await;
            assert_span_attributes(
                &client.next_span().await,
                &[
                    ("user_agent.original", original),
                    ("user_agent.synthetic.type", Str("bot")),
                ],
            );
        }
    }
    let absent = [
        ("user_agent.original", Absent),
        ("user_agent.synthetic.type", Absent),
    ];
    table(&ALL, layer, &[("GET http://api.example/users/7", &absent)]).await;
}

#[tokio::test]
async fn network_transport_is_tcp_by_option_if_the_peer_is_known() {
    let layer = || TraceLayer::client().opt_in([OptIn::NetworkTransport]);
    table(
        &ALL,
        layer,
        &[(
            "GET http://api.example/users/7",
            &[
                ("network.transport", Str("tcp")),
                ("network.peer.address", Str("127.0.0.1")),
            ],
        )],
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

#[tokio::test]
async fn unsupported_and_server_only_attributes_are_absent_with_every_option() {
    table(
        &ALL,
        everything,
        &[(
            "GET http://api.example/users/7",
            &[
                // A layer does not see the encoded head.
                ("http.request.size", Absent),
                ("http.response.size", Absent),
                // Bodies are unbounded and can contain secrets.
                ("http.request.body.content", Absent),
                ("http.response.body.content", Absent),
                // The protocol is always `http`.
                ("network.protocol.name", Absent),
                ("client.port", Absent),
                ("network.local.address", Absent),
                ("network.local.port", Absent),
            ],
        )],
    )
    .await;
}

// ---- Names, status, errors --------------------------------------------------------------------

#[tokio::test]
async fn the_span_name_is_the_method_without_the_path() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in ALL {
            for (line, name) in [
                ("GET http://api.example/users/7", "GET"),
                ("QUERY http://api.example/users/7", "QUERY"),
                ("PURGE http://api.example/users/7", "HTTP"),
            ] {
                assert_eq!(client.span_of(http_client, line).await.name, name);
            }
        }
    }
}

#[tokio::test]
async fn the_span_status_is_error_from_400_up_and_never_ok_or_described() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for (code, error) in [
            (200, None),
            (204, None),
            (304, None),
            (400, Some("400")),
            (404, Some("404")),
            (499, Some("499")),
            (500, Some("500")),
            (599, Some("599")),
            (600, Some("600")),
        ] {
            for http_client in ALL {
                let line = format!("GET http://api.example/status/{code}");
                let span = client.span_of(http_client, &line).await;
                let status = error.map_or(Status::Unset, |_| Status::error(""));
                assert_eq!(span.status, status, "{http_client:?} {code}");
                assert_span_attributes(
                    &span,
                    &[
                        ("http.response.status_code", Int(code)),
                        ("error.type", error.map_or(Absent, Str)),
                    ],
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_error_without_a_status_code() {
    for backend in Backend::ALL {
        let (_socket, server) = refusing_server();
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in ALL {
            let span = client
                .span_of(http_client, "GET http://api.example/users/7")
                .await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("error.type", Str("connection_refused")),
                    ("http.response.status_code", Absent),
                    ("server.address", Str("api.example")),
                    ("server.port", Int(80)),
                    ("url.full", Str("http://api.example/users/7")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_reqwest_timeout_has_error_type_timeout() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let url = "http://api.example/stall".parse().unwrap();
        let mut request = reqwest::Request::new(http::Method::GET, url);
        *request.timeout_mut() = Some(Duration::from_millis(20));
        client
            .send_reqwest_with(reqwest_client_to(Http::One, client.server), request)
            .await;
        let span = client.next_span().await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("error.type", Str("timeout")),
                ("http.response.status_code", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn a_tower_timeout_inside_the_layer_has_error_type_timeout() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let with_timeout_layer = ServiceBuilder::new()
            .timeout(Duration::from_millis(20))
            .service(hyper_client_to(Http::One, client.server));
        client
            .send_with(with_timeout_layer, request("GET http://api.example/stall"))
            .await;
        let span = client.next_span().await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("error.type", Str("timeout")),
                ("http.response.status_code", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn a_failed_connection_has_error_type_connect() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        // Neither client is built with TLS.
        let url = "https://api.example/users/7";
        let reqwest_request = reqwest::Request::new(http::Method::GET, url.parse().unwrap());
        client
            .send_reqwest_with(reqwest_client_to(Http::One, client.server), reqwest_request)
            .await;
        let expected = [
            ("error.type", Str("connect")),
            ("http.response.status_code", Absent),
            ("server.port", Int(443)),
        ];
        assert_span_attributes(&client.next_span().await, &expected);
        let hyper_request = request(&format!("GET {url}"));
        client
            .send_with(suite_tests::net::pooled_client(Http::One), hyper_request)
            .await;
        assert_span_attributes(&client.next_span().await, &expected);
    }
}

#[tokio::test]
async fn a_redirect_loop_has_error_type_redirect() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in [
            HttpClient::Reqwest(Http::One),
            HttpClient::Reqwest(Http::Two),
        ] {
            let span = client
                .span_of(http_client, "GET http://api.example/round")
                .await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("error.type", Str("redirect")),
                    ("url.full", Str("http://api.example/round")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_response_has_error_type_connection_closed() {
    for backend in Backend::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                // All received bytes are read, so that the connection is closed and not reset.
                tokio::io::AsyncReadExt::read(&mut stream, &mut head)
                    .await
                    .unwrap();
            }
        });
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in [HttpClient::Hyper(Http::One), HttpClient::Reqwest(Http::One)] {
            let span = client.span_of(http_client, "GET http://api.example/").await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("http.response.status_code", Absent),
                    ("error.type", Str("connection_closed")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_request_that_its_caller_drops_is_not_an_error() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in ALL {
            tokio::select! {
                biased;
                _ = client.send(http_client, "GET http://api.example/stall") => panic!("unexpected response"),
                () = tokio::task::yield_now() => {}
            }
            let span = client.next_span().await;
            assert_eq!(span.status, Status::Unset);
            assert_span_attributes(
                &span,
                &[
                    ("error.type", Absent),
                    ("http.response.status_code", Absent),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_truncated_response_has_an_error_type_and_a_status_code() {
    for backend in Backend::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut byte = [0; 4];
                while !byte.ends_with(b"\r\n\r\n") {
                    byte.rotate_left(1);
                    byte[3] = stream.read_u8().await.unwrap();
                }
                let part = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
                stream.write_all(part).await.unwrap();
            }
        });
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in [HttpClient::Hyper(Http::One), HttpClient::Reqwest(Http::One)] {
            let span = client.span_of(http_client, "GET http://api.example/").await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("http.response.status_code", Int(200)),
                    ("error.type", Str("connection_closed")),
                ],
            );
        }
    }
}

// ---- Sampling, propagation, keys --------------------------------------------------------------

#[tokio::test]
async fn samplers_get_the_name_and_the_attributes_known_at_the_start() {
    for backend in Backend::ALL {
        let sampler = RecordingSampler::default();
        let telemetry = TestTelemetry::with_sampler_and_filter(sampler.clone(), LevelFilter::INFO);
        let server = serve(app()).await;
        let client = Client::for_server(backend, TraceLayer::client(), telemetry, server);
        let line = "PURGE http://me:s3cr3t@api.example/users/7?sig=s3cr3t";
        client.span_of(HttpClient::Hyper(Http::One), line).await;
        let inputs = sampler.inputs();
        let [input] = inputs.as_slice() else {
            panic!("one decision, not {inputs:#?}");
        };
        assert_eq!(input.name, "HTTP");
        assert_eq!(input.kind, SpanKind::Client);
        assert_attributes(
            &input.attributes,
            &[
                ("http.request.method", Str("_OTHER")),
                ("server.address", Str("api.example")),
                ("server.port", Int(80)),
                (
                    "url.full",
                    Str("http://REDACTED:REDACTED@api.example/users/7?sig=REDACTED"),
                ),
            ],
        );
    }
}

/// Sends a request and returns the `traceparent` that the server received.
async fn sent_traceparent(client: &Client) -> Option<String> {
    let parent = Arc::new(Mutex::new(None));
    let received = Arc::clone(&parent);
    let handler = move |request: Received| {
        let header = request.headers().get("traceparent").cloned();
        *received.lock().unwrap() = header.map(|header| header.to_str().unwrap().to_owned());
        ready(StatusCode::OK)
    };
    let server = serve(Router::new().fallback(any(handler))).await;
    let client_service = PropagateLayer::new().layer(hyper_client_to(Http::One, server));
    let status = client
        .send_with(client_service, request("GET http://api.example/"))
        .await;
    assert_eq!(status, Some(StatusCode::OK));
    parent.lock().unwrap().take()
}

#[tokio::test]
async fn the_server_receives_the_id_of_the_client_span() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let parent = sent_traceparent(&client).await;
        let span = client.next_span().await;
        let own = &span.span_context;
        let own = format!("00-{}-{}-01", own.trace_id(), own.span_id());
        assert_eq!(parent, Some(own));
    }
}

#[tokio::test]
async fn an_unsampled_span_is_propagated() {
    for backend in Backend::ALL {
        let telemetry =
            TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOff, LevelFilter::INFO);
        let (_socket, server) = refusing_server();
        let client = Client::for_server(backend, TraceLayer::client(), telemetry, server);
        let parent = sent_traceparent(&client)
            .await
            .expect("a traceparent is sent");
        assert!(parent.ends_with("-00"), "{parent}");
        assert_eq!(client.telemetry.spans(), []);
    }
}

#[tokio::test]
async fn a_filtered_request_propagates_its_parent() {
    let parent = SpanContext::new(
        TraceId::from(7),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let expected = format!("00-{}-{}-01", parent.trace_id(), parent.span_id());
    let hidden = || {
        filter_fn(|metadata| {
            metadata.target() != "tower_otel_trace" && *metadata.level() <= Level::INFO
        })
    };
    let by_layer = || TraceLayer::client().filter(Filter::new(|_| false));
    let by_tracing = || TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, hidden());
    // Each telemetry is created when it is used, because a thread has one subscriber at a time.
    let cases: [(Backend, TraceLayer, &dyn Fn() -> TestTelemetry); 3] = [
        (Backend::Tracing, by_layer(), &TestTelemetry::new),
        (Backend::Tracer, by_layer(), &TestTelemetry::new),
        (Backend::Tracing, TraceLayer::client(), &by_tracing),
    ];
    for (backend, layer, telemetry) in cases {
        let (_socket, server) = refusing_server();
        let client = Client::for_server(backend, layer, telemetry(), server);
        let current = Context::new().with_remote_span_context(parent.clone());
        let sent = sent_traceparent(&client).with_context(current).await;
        assert_eq!(sent.as_ref(), Some(&expected), "{backend:?}");
        assert_eq!(client.telemetry.spans(), []);
    }
}

#[tokio::test]
async fn the_span_is_a_child_of_the_current_context() {
    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};

    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let mut parent = client
            .telemetry
            .provider()
            .tracer("test")
            .start("the caller");
        let context = parent.span_context().clone();
        parent.end();
        client.spans_returned.set(1);
        let current = Context::new().with_remote_span_context(context.clone());
        let sending = client.send(
            HttpClient::Hyper(Http::One),
            "GET http://api.example/users/7",
        );
        sending.with_context(current).await;
        let span = client.next_span().await;
        assert_eq!(span.parent_span_id, context.span_id());
        assert_eq!(span.span_context.trace_id(), context.trace_id());
    }
}

#[tokio::test]
async fn recorded_keys_are_exactly_those_of_the_conventions() {
    let mut recorded = BTreeSet::new();
    for backend in Backend::ALL {
        let client = Client::new(backend, everything()).await;
        let http_client = HttpClient::Reqwest(Http::One);
        let mut spans = vec![
            client
                .span_of(http_client, "PURGE http://api.example/users/7")
                .await,
        ];
        let attempts = Attempts::default();
        for line in [
            "POST http://api.example/users/7",
            "POST http://api.example/nowhere",
        ] {
            let mut request = request(line);
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_LENGTH, "0".parse().unwrap());
            headers.insert(header::USER_AGENT, "Googlebot".parse().unwrap());
            request.extensions_mut().insert(attempts.clone());
            request.extensions_mut().insert(Route::from("/users/{id}"));
            client
                .send_with(hyper_client_to(Http::One, client.server), request)
                .await;
            spans.push(client.next_span().await);
        }
        let attributes = spans.into_iter().flat_map(|span| span.attributes);
        recorded.extend(attributes.map(|attribute| attribute.key.to_string()));
    }
    let missing: Vec<_> = known_keys(&SpanKind::Client)
        .iter()
        .filter(|key| !recorded.contains(**key))
        .collect();
    assert_eq!(missing, NOT_RECORDED.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_test_server_records_no_spans() {
    let telemetry = TestTelemetry::new();
    let server = serve(app()).await;
    let (head, _open) =
        with_timeout("the response", send_raw(server, "GET /users/7 HTTP/1.1")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(telemetry.spans(), []);
}
