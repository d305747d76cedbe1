//! Malformed requests: the server responds as without the layers, and the telemetry is correct or
//! absent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use axum::{Router, extract::Request, routing::any};
use hyper::body::Incoming;
use opentelemetry::{Value, trace::SpanId};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::{AnyTraceLayer, Backend, Source},
    net::serve,
    telemetry::{TestTelemetry, attribute, integer, text, with_timeout},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_otel_core::PeerAddr;
use tower_otel_metrics::MetricsLayer;
use tower_otel_semconv::TrustedProxies;
use tower_otel_trace::TraceLayer;

/// Responds with the received request, so that a request changed by the layers has a different response.
async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &parts.headers {
        headers.entry(name.as_str()).or_default().push(value);
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    format!(
        "{} {} {:?}\n{headers:?}\n{body:?}",
        parts.method, parts.uri, parts.version
    )
}

fn router() -> Router {
    Router::new().route("/things/{id}", any(echo))
}

fn peer() -> SocketAddr {
    ([192, 0, 2, 9], 4711).into()
}

/// The placement of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// On the routes of the router.
    OnRoutes,
    /// Around the router.
    AroundRouter,
}

async fn serve_layered(placement: Placement, spans: AnyTraceLayer) -> SocketAddr {
    let layers = ServiceBuilder::new()
        .layer(spans)
        .layer(MetricsLayer::server());
    match placement {
        Placement::OnRoutes => serve(with_peer_address(router().layer(layers))).await,
        Placement::AroundRouter => serve(with_peer_address(layers.service(router()))).await,
    }
}

/// All placements with all span backends.
fn placements_and_backends() -> impl Iterator<Item = (Placement, Backend)> {
    let placements = [Placement::OnRoutes, Placement::AroundRouter].into_iter();
    placements.flat_map(|placement| Backend::ALL.map(|backend| (placement, backend)))
}

/// Adds the peer address, as a server does for its connections.
fn with_peer_address<S, B>(
    service: S,
) -> impl Service<
    http::Request<Incoming>,
    Response = http::Response<B>,
    Error = Infallible,
    Future = S::Future,
> + Clone
+ Send
+ 'static
where
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
{
    service.map_request(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer()));
        request
    })
}

/// Writes bytes and returns the response without its date.
async fn send(to: SocketAddr, bytes: &[u8]) -> String {
    let response = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let shown = bytes.get(..200).unwrap_or(bytes).escape_ascii();
    let response = with_timeout(&format!("the response to {shown}"), response).await;
    let response = String::from_utf8(response).unwrap();
    let lines = response.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

/// The bytes of a request and the expected span.
#[derive(Clone, Debug)]
struct Case {
    bytes: Vec<u8>,
    name: &'static str,
    parent: SpanId,
    attributes: Vec<(&'static str, Option<Value>)>,
    trusts_proxies: bool,
}

impl Case {
    fn new(line: &str, headers: &[&[u8]]) -> Self {
        let mut bytes = line.as_bytes().to_vec();
        for header in headers.iter().chain([&b"Connection: close".as_slice()]) {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(header);
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        Self {
            bytes,
            name: "GET /things/{id}",
            parent: SpanId::INVALID,
            attributes: Vec::new(),
            trusts_proxies: false,
        }
    }

    /// A valid request line with other headers.
    fn get(headers: &[&[u8]]) -> Self {
        Self::new("GET /things/7 HTTP/1.1", headers)
    }

    fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn child(self) -> Self {
        let parent = SpanId::from_hex("b7ad6b7169203331").unwrap();
        Self { parent, ..self }
    }

    /// Trusts all proxies.
    fn trusts_proxies(self) -> Self {
        Self {
            trusts_proxies: true,
            ..self
        }
    }

    fn attribute(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((key, Some(value.into())));
        self
    }

    fn absent(mut self, key: &'static str) -> Self {
        self.attributes.push((key, None));
        self
    }

    fn server(self, address: &'static str, port: impl Into<Option<i64>>) -> Self {
        let case = self.attribute("server.address", address);
        match port.into() {
            Some(port) => case.attribute("server.port", port),
            None => case.absent("server.port"),
        }
    }

    fn no_server(self) -> Self {
        self.absent("server.address").absent("server.port")
    }

    fn layer(&self) -> TraceLayer {
        TraceLayer::server().trusted_proxies(if self.trusts_proxies {
            TrustedProxies::all()
        } else {
            TrustedProxies::default()
        })
    }

    fn text(&self) -> String {
        let shown = self.bytes.get(..200).unwrap_or(&self.bytes);
        shown.escape_ascii().to_string()
    }
}

/// Returns the value as it is recorded: texts are cut after 4096 characters.
fn recorded_value(value: Option<Value>) -> Option<Value> {
    match value {
        Some(Value::String(text)) => {
            let cut: String = text.as_str().chars().take(4096).collect();
            Some(cut.into())
        }
        value => value,
    }
}

/// Sends every case to a server without layers and to servers with them, and checks span and metrics.
async fn assert_recorded(cases: Vec<Case>) {
    let plain = serve(router()).await;
    for case in cases {
        let expected = send(plain, &case.bytes).await;
        for (placement, backend) in placements_and_backends() {
            let telemetry = TestTelemetry::new();
            let layered =
                serve_layered(placement, backend.layer(telemetry.source(), case.layer())).await;
            let case_name = format!("{backend:?}, {placement:?}: {}", case.text());
            assert_eq!(send(layered, &case.bytes).await, expected, "{case_name}");
            telemetry
                .wait_until("the exchange ends", |telemetry| {
                    !telemetry.spans().is_empty()
                        && telemetry.sum("http_requests_total", &[]) > 0.0
                        && telemetry.sum("http_requests_in_flight", &[]) == 0.0
                })
                .await;
            let spans = telemetry.spans();
            let [span] = spans.as_slice() else {
                panic!("{case_name}: one span, not {spans:#?}");
            };
            assert_valid_server_span(span, &case_name);
            for (key, value) in &case.attributes {
                let value = recorded_value(value.clone());
                assert_eq!(attribute(span, key), value, "{key} of {case_name}");
            }
            assert_eq!(span.parent_span_id, case.parent, "{case_name}");
            let (method, path) = case
                .name
                .split_once(' ')
                .unwrap_or((case.name, "unmatched"));
            let (name, path) = match placement {
                Placement::OnRoutes => (case.name, path),
                Placement::AroundRouter => (method, "unmatched"),
            };
            assert_eq!(span.name, name, "{case_name}");
            let method = if method == "HTTP" { "_OTHER" } else { method };
            let labels = [("method", method), ("path", path)];
            let metrics = telemetry.metrics();
            assert_eq!(
                telemetry.sum("http_requests_total", &labels),
                1.0,
                "{case_name}: {metrics}"
            );
            assert_eq!(
                telemetry.sum("http_requests_total", &[]),
                1.0,
                "{case_name}"
            );
        }
    }
}

/// Checks the rules for every server span.
fn assert_valid_server_span(span: &SpanData, case_name: &str) {
    for attribute in &span.attributes {
        assert!(
            !attribute.value.as_str().is_empty(),
            "{} of {case_name} is empty",
            attribute.key
        );
    }
    for port in ["server.port", "network.peer.port"] {
        assert!(
            integer(span, port).is_none_or(|port| (1..=65535).contains(&port)),
            "{case_name}"
        );
    }
    assert!(
        attribute(span, "server.address").is_some() || attribute(span, "server.port").is_none(),
        "{case_name}"
    );
    let known = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY",
    ];
    let method = text(span, "http.request.method").unwrap();
    let original = text(span, "http.request.method_original");
    assert_eq!(method == "_OTHER", original.is_some(), "{case_name}");
    assert!(
        method == "_OTHER" || known.contains(&method.as_str()),
        "{case_name}"
    );
    assert!(
        ["http", "https"].contains(&text(span, "url.scheme").unwrap().as_str()),
        "{case_name}"
    );
    assert!(
        ["1.0", "1.1"].contains(&text(span, "network.protocol.version").unwrap().as_str()),
        "{case_name}"
    );
    assert_eq!(
        text(span, "network.peer.address").unwrap(),
        peer().ip().to_string()
    );
    let name = match (method.as_str(), text(span, "http.route")) {
        ("_OTHER", None) => "HTTP".to_owned(),
        ("_OTHER", Some(route)) => format!("HTTP {route}"),
        (method, None) => method.to_owned(),
        (method, Some(route)) => format!("{method} {route}"),
    };
    assert_eq!(span.name, name, "{case_name}");
    let status = integer(span, "http.response.status_code").unwrap();
    assert!((200..500).contains(&status), "{case_name}");
    assert_eq!(text(span, "error.type"), None, "{case_name}");
}

fn long(byte: u8, count: usize) -> String {
    char::from(byte).to_string().repeat(count)
}

fn trace_headers() -> Vec<Case> {
    const PARENT: &[u8] = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut cases = vec![
        Case::get(&[PARENT]).child(),
        Case::get(&[PARENT, b"tracestate: a=1", b"tracestate: b@@c=2"]).child(),
        // A later version may have more fields.
        Case::get(&[b"traceparent: cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"])
            .child(),
        // A repeated traceparent is ignored.
        Case::get(&[PARENT, PARENT]),
    ];
    for malformed in [
        &b""[..],
        b" ",
        b"00",
        b"-",
        b"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\xff",
        b"\xc3\xbc\xc3\xbc",
        "ü".repeat(55).as_bytes(),
        long(b'0', 16_000).as_bytes(),
    ] {
        cases.push(Case::get(&[&[b"traceparent: ", malformed].concat()]));
    }
    let full = vec!["tracestate: a=1"; 60];
    let full: Vec<_> = full.into_iter().map(str::as_bytes).collect();
    cases.push(Case::get(&[&[PARENT][..], &full].concat()).child());
    for malformed in [
        &b""[..],
        b"=",
        b",,,",
        b"a=1,a=2",
        b"\xff\xfe",
        b"a=\xc3\xbc",
        long(b'a', 16_000).as_bytes(),
    ] {
        let state = [b"tracestate: ", malformed].concat();
        cases.push(Case::get(&[PARENT, &state]).child());
        cases.push(Case::get(&[&state]));
    }
    cases
}

fn hosts() -> Vec<Case> {
    let mut cases = vec![
        Case::get(&[b"Host: api.example"]).server("api.example", None),
        Case::get(&[b"Host: api.example:8080"]).server("api.example", 8080),
        Case::get(&[b"Host: api.example:"]).server("api.example", None),
        Case::get(&[b"Host: 192.0.2.1:80"]).server("192.0.2.1", 80),
        Case::get(&[b"Host: [::1]:5000"]).server("::1", 5000),
        Case::get(&[b"Host: [2001:db8::7]"]).server("2001:db8::7", None),
        Case::get(&[]).no_server(),
        Case::get(&[b"Host: a.example", b"Host: b.example"]).no_server(),
        Case::get(&[b"Host: a.example", b"Host: a.example"]).no_server(),
        Case::new("GET /things/7 HTTP/1.0", &[])
            .no_server()
            .attribute("network.protocol.version", "1.0"),
    ];
    for malformed in [
        &b""[..],
        b":80",
        b"api example",
        b"api.example:http",
        b"api.example:+80",
        b"api.example:0",
        b"api.example:65536",
        b"api.example:99999999999999999999",
        b"api.example:80:80",
        b"user:secret@api.example",
        b"::1",
        b"[::1",
        b"[::1]5000",
        b"[::1%eth0]",
        b"[zz]:80",
        b"a/b",
        b"a,b",
        b"h\xc3\xb6st",
        b"\xff\xff",
        long(b'a', 16_000).as_bytes(),
    ] {
        cases.push(Case::get(&[&[b"Host: ", malformed].concat()]).no_server());
    }
    cases
}

fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    let long_method: &'static str = Box::leak(long(b'X', 4_000).into_boxed_str());
    for method in [
        "BREW",
        "get",
        "Get",
        "PROPFIND",
        "_OTHER",
        "!#$%&'*+-.^_`|~",
        long_method,
    ] {
        cases.push(
            Case::new(&format!("{method} /things/7 HTTP/1.1"), &[])
                .named("HTTP /things/{id}")
                .attribute("http.request.method", "_OTHER")
                .attribute("http.request.method_original", method),
        );
    }
    cases.push(
        Case::new("QUERY /things/7 HTTP/1.1", &[])
            .named("QUERY /things/{id}")
            .attribute("http.request.method", "QUERY"),
    );
    cases.push(Case::new("HEAD /things/7 HTTP/1.1", &[]).named("HEAD /things/{id}"));
    cases.push(Case::new("TRACE /things/7 HTTP/1.1", &[]).named("TRACE /things/{id}"));
    cases
}

fn targets() -> Vec<Case> {
    let deep = format!("/{}", long(b'a', 60_000));
    let wide = long(b'q', 60_000);
    vec![
        Case::new("GET /things/7?a=b&c HTTP/1.1", &[])
            .attribute("url.path", "/things/7")
            .attribute("url.query", "a=b&c"),
        Case::new("GET /things/7? HTTP/1.1", &[]).absent("url.query"),
        Case::new("GET /things/7?sig=s3cr3t&a=1 HTTP/1.1", &[])
            .attribute("url.query", "sig=REDACTED&a=1"),
        Case::new("GET /things/%ff%00 HTTP/1.1", &[]).attribute("url.path", "/things/%ff%00"),
        Case::new("GET //things//7 HTTP/1.1", &[])
            .named("GET")
            .attribute("url.path", "//things//7"),
        Case::new("GET /../../etc/passwd HTTP/1.1", &[])
            .named("GET")
            .attribute("url.path", "/../../etc/passwd"),
        Case::new(&format!("GET {deep} HTTP/1.1"), &[])
            .named("GET")
            .attribute("url.path", deep),
        Case::new(&format!("GET /things/7?{wide} HTTP/1.1"), &[]).attribute("url.query", wide),
        // The authority of the target takes precedence over `Host`.
        Case::new(
            "GET http://one.example:81/things/7?a=b HTTP/1.1",
            &[b"Host: two.example:82"],
        )
        .server("one.example", 81)
        .attribute("url.path", "/things/7")
        .attribute("url.query", "a=b"),
        Case::new("GET http://[::1]:81/things/7 HTTP/1.1", &[]).server("::1", 81),
        Case::new(
            "GET http://[::1]/things/7 HTTP/1.1",
            &[b"Host: two.example"],
        )
        .server("::1", None),
        Case::new(
            "GET http://me:s3cr3t@one.example/things/7 HTTP/1.1",
            &[b"Host: two.example"],
        )
        .no_server(),
        Case::new("GET http://one.example HTTP/1.1", &[])
            .named("GET")
            .server("one.example", None)
            .attribute("url.path", "/"),
        Case::new("OPTIONS * HTTP/1.1", &[b"Host: two.example"])
            .named("OPTIONS")
            .server("two.example", None),
        Case::new("CONNECT one.example:443 HTTP/1.1", &[b"Host: two.example"])
            .named("CONNECT")
            .server("one.example", 443)
            .absent("url.path"),
        // hyper parses any target without a slash as an authority.
        Case::new("GET things HTTP/1.1", &[])
            .named("GET")
            .server("things", None)
            .absent("url.path"),
        Case::new("GET gopher://one.example/things/7 HTTP/1.1", &[])
            .server("one.example", None)
            .attribute("url.scheme", "http"),
    ]
}

fn user_agents() -> Vec<Case> {
    vec![
        Case::get(&[b"User-Agent: curl/8"]).attribute("user_agent.original", "curl/8"),
        Case::get(&[]).absent("user_agent.original"),
        Case::get(&[b"User-Agent:"]).absent("user_agent.original"),
        Case::get(&[b"User-Agent: \xff\xfe"]).absent("user_agent.original"),
        Case::get(&["User-Agent: Blümchen/1".as_bytes()]).absent("user_agent.original"),
        Case::get(&[b"User-Agent: a", b"User-Agent: b"]),
        Case::get(&[&[b"User-Agent: ", long(b'a', 16_000).as_bytes()].concat()]),
    ]
}

fn forwarded() -> Vec<Case> {
    let peer_ip = peer().ip().to_string();
    let mut cases = vec![
        Case::get(&[
            b"Host: inner.example",
            b"Forwarded: for=\"[2001:db8::1]:4711\";proto=https;host=api.example",
        ])
        .trusts_proxies()
        .attribute("client.address", "2001:db8::1")
        .attribute("url.scheme", "https")
        .server("api.example", None),
        Case::get(&[
            b"Host: inner.example",
            b"X-Forwarded-For: 203.0.113.7",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: [::1]:8443",
        ])
        .trusts_proxies()
        .attribute("client.address", "203.0.113.7")
        .attribute("url.scheme", "https")
        .server("::1", 8443),
        // Contradicting `Forwarded` and `X-Forwarded-*` headers are both ignored.
        Case::get(&[
            b"Forwarded: for=198.51.100.1;proto=https",
            b"X-Forwarded-For: 203.0.113.7",
            b"X-Forwarded-Proto: http",
        ])
        .trusts_proxies()
        .absent("client.address")
        .attribute("url.scheme", "http"),
    ];
    let many = format!(
        "Forwarded: for=203.0.113.7{}",
        ",for=203.0.113.7".repeat(999)
    );
    for malformed in [
        &b"Forwarded: "[..],
        b"Forwarded: ;;;,,,",
        b"Forwarded: for=\"unterminated",
        b"Forwarded: for=\xff;proto=\xff;host=\xff",
        b"Forwarded: for=_hidden;proto=gopher;host=\"a b\"",
        b"Forwarded: for=;proto=;host=",
        b"X-Forwarded-For: ",
        b"X-Forwarded-For: unknown, , \xff",
        b"X-Forwarded-For: 999.999.999.999",
        b"X-Forwarded-Proto: https\xff",
        b"X-Forwarded-Host: user:secret@api.example",
        b"X-Forwarded-Host: [::1",
        &[b"X-Forwarded-Host: ", long(b'a', 16_000).as_bytes()].concat(),
        many.as_bytes(),
    ] {
        let headers = [&b"Host: inner.example"[..], malformed];
        // No proxy is trusted.
        cases.push(
            Case::get(&headers)
                .server("inner.example", None)
                .attribute("client.address", peer_ip.clone())
                .attribute("url.scheme", "http"),
        );
        // All proxies are trusted, but the header is malformed.
        cases.push(
            Case::get(&headers)
                .trusts_proxies()
                .attribute("url.scheme", "http"),
        );
    }
    cases
}

#[tokio::test]
async fn a_malformed_traceparent_starts_a_new_trace() {
    assert_recorded(trace_headers()).await;
}

#[tokio::test]
async fn a_malformed_host_header_sets_no_server_address() {
    assert_recorded(hosts()).await;
}

#[tokio::test]
async fn an_unknown_method_is_recorded_as_other() {
    assert_recorded(methods()).await;
}

#[tokio::test]
async fn every_form_of_request_target_is_recorded_by_its_parts() {
    assert_recorded(targets()).await;
}

#[tokio::test]
async fn a_user_agent_that_is_not_text_is_omitted() {
    assert_recorded(user_agents()).await;
}

#[tokio::test]
async fn forwarded_headers_are_used_only_if_trusted_and_well_formed() {
    assert_recorded(forwarded()).await;
}

#[tokio::test]
async fn secrets_in_the_request_target_are_not_recorded() {
    for (placement, backend) in placements_and_backends() {
        let telemetry = TestTelemetry::new();
        let layer = TraceLayer::server().trusted_proxies(TrustedProxies::all());
        let layered = serve_layered(placement, backend.layer(telemetry.source(), layer)).await;
        let line = "GET http://me:s3cr3t@one.example/things/7?sig=s3cr3t HTTP/1.1";
        let case = Case::new(line, &[b"Host: me:s3cr3t@two.example"]);
        assert!(send(layered, &case.bytes).await.contains("s3cr3t"));
        telemetry
            .wait_until("the span ends", |telemetry| !telemetry.spans().is_empty())
            .await;
        let recorded = format!("{:?}{}", telemetry.spans(), telemetry.metrics());
        assert!(!recorded.contains("s3cr3t"), "{recorded}");
    }
}

#[tokio::test]
async fn requests_that_the_http_library_rejects_are_not_recorded() {
    let plain = serve(router()).await;
    let many = "a: b\r\n".repeat(200);
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /things/7 HTTP/9.9\r\n\r\n",
        b"GET / things/7 HTTP/1.1\r\n\r\n",
        b"GET /things/7 HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /things/7 HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET /things/7 HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"POST /things/7 HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST /things/7 HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"\x00\xff\x00\xff\r\n\r\n",
        format!("GET /things/7 HTTP/1.1\r\n{many}\r\n").as_bytes(),
    ] {
        let case_name = bytes.escape_ascii().to_string();
        let expected = send(plain, bytes).await;
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let layer = backend.layer(telemetry.source(), TraceLayer::server());
            let layered = serve_layered(Placement::AroundRouter, layer).await;
            assert_eq!(send(layered, bytes).await, expected, "{case_name}");
            assert_eq!(telemetry.spans(), [], "{case_name}");
            assert_eq!(
                telemetry.sum("http_requests_total", &[]),
                0.0,
                "{case_name}"
            );
        }
    }
}

#[tokio::test]
async fn responses_are_unchanged_without_an_exporter() {
    let discarding = Source::discarding();
    let plain = serve(router()).await;
    let groups = [
        trace_headers(),
        hosts(),
        methods(),
        targets(),
        user_agents(),
        forwarded(),
    ];
    for case in groups.into_iter().flatten() {
        let expected = send(plain, &case.bytes).await;
        for (placement, backend) in placements_and_backends() {
            let layered = serve_layered(placement, backend.layer(&discarding, case.layer())).await;
            let case_name = case.text();
            assert_eq!(send(layered, &case.bytes).await, expected, "{case_name}");
        }
    }
}
