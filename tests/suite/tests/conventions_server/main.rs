//! The attributes of server spans by the conventions, over real sockets with every span backend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod addresses;
mod errors;
mod exceptions;
mod headers;
mod parents;
mod url;

use http::{Version, header};
use http_body_util::{BodyExt, Empty};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    keys::OPT_INS,
    net::{ClientConnection, Http},
    server::Server,
    table::{assert_span_attributes, lines, rows},
    telemetry::with_timeout,
};
use tower_otel_semconv::TrustedProxies;
use tower_otel_trace::TraceLayer;

/// Sends the request of each line unchanged and checks the attributes of its span.
async fn table(layer: impl Fn() -> TraceLayer, cases: &str) {
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        for (request, attributes) in lines(cases) {
            let span = server.span_of(&lines_of(request)).await;
            assert_eq!(span.span_kind, SpanKind::Server);
            assert_span_attributes(&span, &rows(attributes));
        }
    }
}

/// Sends the request of each line unchanged and checks the name of its span.
async fn names(layer: impl Fn() -> TraceLayer, cases: &str) {
    for backend in Backend::ALL {
        let server = Server::start(backend, layer()).await;
        for (request, name) in lines(cases) {
            assert_eq!(
                server.span_of(&lines_of(request)).await.name,
                name,
                "{request}"
            );
        }
    }
}

/// Returns the lines of a request such as `GET / | Host: api.example`. The version is HTTP/1.1 unless it has one.
fn lines_of(request: &str) -> String {
    let (target, headers) = request.split_once(" | ").unwrap_or((request, ""));
    let version = if target.contains(" HTTP/") {
        ""
    } else {
        " HTTP/1.1"
    };
    let headers = headers.split(" | ").filter(|line| !line.is_empty());
    headers.fold(format!("{target}{version}"), |lines, line| {
        lines + "\n" + line
    })
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
