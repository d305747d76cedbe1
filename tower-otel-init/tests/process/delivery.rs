//! All spans of requests before `SIGTERM` are delivered.

use std::collections::HashSet;

use collector::{Behavior, Collector};

use crate::service::{ALWAYS_ON, Service, log_lines};

#[test]
fn ten_thousand_requests_before_sigterm_are_ten_thousand_spans() {
    for (runtime, protocol, collector) in [
        ("multi", "grpc", Collector::grpc()),
        ("current", "grpc", Collector::grpc()),
        ("current", "http/protobuf", Collector::http()),
    ] {
        let service = Service::start(
            runtime,
            &[
                ALWAYS_ON,
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "10000"),
                ("OTEL_SERVICE_NAME", "users"),
                // Filters log lines, not spans.
                ("RUST_LOG", "warn"),
            ],
        );
        assert_eq!(service.get("/users/7", 10_000), "user");
        let output = service.stop();
        assert_eq!(log_lines(&output).len(), 0, "{output}");
        assert_eq!(collector.spans(), 10_000);
        let received = collector.received.lock().unwrap();
        assert!(
            received
                .spans
                .iter()
                .all(|span| span.name == "GET /users/{id}" && span.kind == 2)
        );
        let name = received
            .resources
            .iter()
            .find(|(key, _)| key == "service.name");
        assert!(format!("{name:?}").contains("users"), "{name:?}");
    }
}

#[test]
fn ten_thousand_spans_of_requests_and_of_functions_are_delivered_after_sigterm() {
    for (protocol, http) in [("grpc", false), ("http/protobuf", true)] {
        for compression in ["none", "gzip"] {
            let collector = Collector::start(http, Behavior::Accepts);
            let variables = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
            ];
            assert_delivers_ten_thousand_spans(&collector, &variables);
        }
    }
}

#[test]
#[cfg(feature = "tls")]
fn ten_thousand_spans_are_delivered_with_tls_after_sigterm() {
    for (protocol, compression) in [("grpc", "gzip"), ("http/protobuf", "none")] {
        let server = crate::support::PrivateCollector::start("process");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*server.endpoint()),
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                server.certificate().to_str().unwrap(),
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
        ];
        assert_delivers_ten_thousand_spans(&server.collector, &variables);
    }
}

fn assert_delivers_ten_thousand_spans(collector: &Collector, variables: &[(&str, &str)]) {
    let mut all = vec![ALWAYS_ON, ("OTEL_BSP_MAX_QUEUE_SIZE", "10000")];
    all.extend(variables);
    let service = Service::start("multi", &all);
    assert_eq!(service.get("/prices/7", 5_000), "7 costs 7");
    service.stop();
    let received = collector.received.lock().unwrap();
    let spans = |name: &str| -> Vec<_> {
        let spans = received.spans.iter();
        spans.filter(|span| span.name == name).collect()
    };
    let (requests, functions) = (spans("GET /prices/{id}"), spans("price"));
    assert_eq!(
        (requests.len(), functions.len()),
        (5_000, 5_000),
        "{variables:?}"
    );
    let parents: HashSet<_> = requests.iter().map(|span| &span.span_id).collect();
    let nested = functions
        .iter()
        .filter(|span| parents.contains(&span.parent_span_id));
    assert_eq!(nested.count(), 5_000, "{variables:?}");
}
