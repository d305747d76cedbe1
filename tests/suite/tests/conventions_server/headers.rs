//! Protocol, user agent, captured headers, sizes, and what is recorded by option only.

use axum::{Router, response::Response, routing::any};
use http::{HeaderName, HeaderValue, header};
use suite_tests::{
    backend::Backend,
    server::Server,
    table::{Absent, Int, List, Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tower_otel_semconv::TrustedProxies;
use tower_otel_trace::{OptIn, TraceLayer};

use crate::{everything, over_http2, table};

/// Sends lines with a body and returns the span of the exchange.
async fn span_with_body(layer: TraceLayer, backend: Backend) -> opentelemetry_sdk::trace::SpanData {
    let server = Server::start(backend, layer).await;
    server
        .span_of("POST /users/7 HTTP/1.1\nAccept: */*\nContent-Length: 4\n\nbody")
        .await
}

#[tokio::test]
async fn network_protocol_version_has_the_format_of_the_conventions() {
    table(
        TraceLayer::server,
        "
        GET / HTTP/1.0 => network.protocol.version=1.0
        GET / HTTP/1.1 => network.protocol.version=1.1
        ",
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
    table(everything, "GET / => network.protocol.name=-").await;
}

#[tokio::test]
async fn user_agent_original_is_the_user_agent_header() {
    table(
        TraceLayer::server,
        "
        GET / | User-Agent: a browser/1.0 (of sorts) => user_agent.original=a browser/1.0 (of sorts)
        GET /                                        => user_agent.original=-
        GET / | User-Agent:                          => user_agent.original=-
        GET / | User-Agent: \u{fc}                   => user_agent.original=-
        ",
    )
    .await;
}

#[tokio::test]
async fn personal_data_false_omits_all_personal_data() {
    let without = r#"
        GET / | User-Agent: a browser | Forwarded: for="203.0.113.7:4711" => client.address=- | client.port=- | network.peer.address=- | network.peer.port=- | user_agent.original=-
        GET / | User-Agent: a browser | Forwarded: for="203.0.113.7:4711" => http.request.method=GET | url.path=/
    "#;
    let layer = || TraceLayer::server().personal_data(false);
    table(layer, without).await;
    // Trusted proxies and opt-in attributes do not change that.
    table(
        || {
            layer()
                .trusted_proxies(TrustedProxies::all())
                .opt_in([OptIn::ClientPort, OptIn::UserAgent])
        },
        without,
    )
    .await;
}

#[tokio::test]
async fn user_agent_synthetic_type_is_bot_or_test_by_option() {
    table(
        || TraceLayer::server().opt_in([OptIn::UserAgentSynthetic]),
        "
        GET / | User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1) => user_agent.synthetic.type=bot
        GET / | User-Agent: BINGBOT                                 => user_agent.synthetic.type=bot
        GET / | User-Agent: AppInsights; AlwaysOn                   => user_agent.synthetic.type=test
        GET / | User-Agent: curl/8                                  => user_agent.synthetic.type=-
        GET /                                                       => user_agent.synthetic.type=-
        ",
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

/// A layer does not see the encoded head. Bodies are unbounded and can contain secrets.
#[tokio::test]
async fn message_sizes_and_body_contents_are_absent_with_every_option() {
    for backend in Backend::ALL {
        let span = span_with_body(everything(), backend).await;
        assert_span_attributes(
            &span,
            &[
                ("http.request.size", Absent),
                ("http.response.size", Absent),
                ("http.request.body.content", Absent),
                ("http.response.body.content", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn headers_and_sizes_are_absent_by_default() {
    for backend in Backend::ALL {
        let span = span_with_body(TraceLayer::server(), backend).await;
        for attribute in &span.attributes {
            let key = attribute.key.as_str();
            assert!(!key.contains(".header.") && !key.contains(".size"), "{key}");
        }
    }
}

#[tokio::test]
async fn body_sizes_are_integers_by_option() {
    let layer = || TraceLayer::server().body_sizes();
    for backend in Backend::ALL {
        let span = span_with_body(layer(), backend).await;
        assert_span_attributes(
            &span,
            &[
                ("http.request.body.size", Int(4)),
                ("http.response.body.size", Int(6)),
            ],
        );
    }
    let empty = "GET /status/204 => http.request.body.size=- | http.response.body.size=0";
    table(layer, empty).await;
}

#[tokio::test]
async fn http_request_header_is_an_array_of_all_values_under_the_lowercase_name() {
    let redacted = List(&["REDACTED"]);
    for backend in Backend::ALL {
        let layer = TraceLayer::server().capture_request_headers([
            HeaderName::from_bytes(b"X-Tenant").unwrap(),
            header::AUTHORIZATION,
            header::PROXY_AUTHORIZATION,
            header::COOKIE,
        ]);
        let server = Server::start(backend, layer).await;
        let request = "GET / HTTP/1.1\nX-Tenant: a\nX-TENANT: b, c\nX-Other: d\n\
             Authorization: Bearer s3cr3t\nProxy-Authorization: Basic s3cr3t\n\
             Cookie: a=s3cr3t\nCookie: b=s3cr3t";
        assert_span_attributes(
            &server.span_of(request).await,
            &[
                ("http.request.header.x-tenant", List(&["a", "b, c"])),
                ("http.request.header.x-other", Absent),
                ("http.request.header.authorization", redacted),
                ("http.request.header.proxy-authorization", redacted),
                (
                    "http.request.header.cookie",
                    List(&["REDACTED", "REDACTED"]),
                ),
            ],
        );
    }
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
