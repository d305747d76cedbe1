//! Credentials are sent as a header and shown nowhere.

use collector::faulty::{FaultyCollector, Reply};

use crate::service::run_test;

/// Exporters of metrics and of log records.
const EXPORTERS: [(&str, &str); 3] = [
    ("otlp,prometheus", "none"),
    ("otlp", "none"),
    ("none", "otlp"),
];

#[test]
fn a_collector_that_repeats_the_credentials_does_not_put_them_in_a_line_or_an_error() {
    let text = format!("{} the token s3cr3t-t0ken is unknown", "x".repeat(170));
    for protocol in ["grpc", "http/protobuf"] {
        for reply in [Reply::Refuse(text.clone()), Reply::Reject(1, text.clone())] {
            for (metrics, logs) in EXPORTERS {
                let case = format!("{protocol} {reply:?} {metrics} {logs}");
                // The texts of other errors are not read.
                let is_shown = (protocol, metrics) == ("grpc", "otlp,prometheus")
                    || matches!(reply, Reply::Reject(..));
                let reply = reply.clone();
                let collector = FaultyCollector::start(move |_| reply.clone());
                let output = run_test(
                    "service::job",
                    &[
                        ("METRICS_SERVICE", "flushes"),
                        (
                            "OTEL_EXPORTER_OTLP_ENDPOINT",
                            &format!("http://{}", collector.address),
                        ),
                        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                        ("OTEL_TRACES_EXPORTER", "none"),
                        ("OTEL_METRICS_EXPORTER", metrics),
                        ("OTEL_LOGS_EXPORTER", logs),
                        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cr3t-t0ken"),
                    ],
                );
                assert!(
                    !is_shown || output.contains("the token REDACTED is unknown"),
                    "{case}: {output}"
                );
                assert!(!output.contains("s3c"), "{case}: {output}");
            }
        }
    }
}

#[test]
fn user_and_password_of_an_endpoint_are_sent_as_a_header_of_metrics_and_log_records() {
    for protocol in ["grpc", "http/protobuf"] {
        for (metrics, logs) in EXPORTERS {
            let collector = FaultyCollector::start(|_| Reply::Accept);
            run_test(
                "service::job",
                &[
                    ("METRICS_SERVICE", "flushes"),
                    (
                        "OTEL_EXPORTER_OTLP_ENDPOINT",
                        &format!("http://me:s3%20cret@{}", collector.address),
                    ),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                    ("OTEL_TRACES_EXPORTER", "none"),
                    ("OTEL_METRICS_EXPORTER", metrics),
                    ("OTEL_LOGS_EXPORTER", logs),
                ],
            );
            let case = format!("{protocol} {metrics} {logs}");
            let headers = collector.headers();
            let authorization = headers.get("authorization").expect(&case);
            assert_eq!(authorization, "Basic bWU6czMgY3JldA==", "{case}");
        }
    }
}
