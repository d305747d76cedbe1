//! The span and the metrics of a malformed request.

use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    net::serve,
    telemetry::{TestTelemetry, attribute, integer, text},
};

use crate::{
    case::Case,
    servers::{Placement, peer, placements_and_backends, router, send, serve_layered},
};

/// Sends every case to a server without layers and to servers with them, and checks span and metrics.
pub(crate) async fn assert_recorded(cases: Vec<Case>) {
    let plain = serve(router()).await;
    for case in cases {
        let expected = send(plain, &case.bytes).await;
        for (placement, backend) in placements_and_backends() {
            let telemetry = TestTelemetry::new();
            let layered =
                serve_layered(placement, backend.layer(telemetry.source(), case.layer())).await;
            let case_name = format!("{backend:?}, {placement:?}: {}", case.text());
            assert_eq!(send(layered, &case.bytes).await, expected, "{case_name}");
            let span = &telemetry.only_span("http").await;
            assert_valid_server_span(span, &case_name);
            for (key, value) in &case.attributes {
                assert_eq!(attribute(span, key), *value, "{key} of {case_name}");
            }
            assert_eq!(span.parent_span_id, case.parent, "{case_name}");
            let name = case.name.as_str();
            let (method, path) = name.split_once(' ').unwrap_or((name, "unmatched"));
            let (name, path) = match placement {
                Placement::OnRoutes => (name, path),
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
