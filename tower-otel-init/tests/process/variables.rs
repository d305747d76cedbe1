//! Variables configure exporters, log lines and metrics.

use collector::Collector;

use crate::service::{ALWAYS_ON, Service, hex, log_lines};

#[test]
fn exports_are_compressed_and_have_headers_as_configured() {
    for (protocol, header, collector) in [
        ("grpc", "grpc-encoding", Collector::grpc()),
        ("http/protobuf", "content-encoding", Collector::http()),
    ] {
        let service = Service::start(
            "current",
            &[
                ALWAYS_ON,
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
            ],
        );
        service.get("/users/7", 20);
        service.stop();
        let received = collector.received.lock().unwrap();
        assert_eq!(received.spans.len(), 20);
        for (name, value) in [(header, "gzip"), ("x-team", "a b")] {
            let sent = (name.to_owned(), value.to_owned());
            assert!(received.headers.contains(&sent), "{:?}", received.headers);
        }
    }
}

#[test]
fn every_log_line_has_the_trace_id_and_json_the_span_id_with_either_span_backend() {
    for backend in ["tracing", "opentelemetry"] {
        let collector = Collector::grpc();
        let endpoint = collector.endpoint();
        let shared = [
            ALWAYS_ON,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("SERVICE_BACKEND", backend),
        ];
        let service = Service::start("current", &shared);
        service.get("/users/7", 1);
        let output = service.stop();
        let json = log_lines(&output);
        let [summary, line] = &json[..] else {
            panic!("{output}");
        };
        {
            let received = collector.received.lock().unwrap();
            assert_eq!(
                line["trace_id"],
                hex(&received.spans[0].trace_id),
                "{backend}"
            );
            assert_eq!(
                line["span_id"],
                hex(&received.spans[0].span_id),
                "{backend}"
            );
        }
        let text = summary["fields"]["message"].as_str().unwrap();
        assert!(text.starts_with("telemetry of "), "{text}");
        assert!(
            text.ends_with("all are sampled; metrics for Prometheus; log records are not exported"),
            "{text}"
        );
        assert_eq!(line["fields"]["message"], "hello");
        assert_eq!(line["level"], "INFO");

        let mut pretty = shared.to_vec();
        pretty.push(("LOG_FORMAT", "pretty"));
        let service = Service::start("multi", &pretty);
        service.get("/users/7", 1);
        let output = service.stop();
        let line = output.lines().find(|line| line.contains("hello")).unwrap();
        let received = collector.received.lock().unwrap();
        let trace = format!(" trace_id={}", hex(&received.spans[1].trace_id));
        assert!(line.ends_with(&trace), "{line}");
    }
}

#[test]
fn metrics_are_served_unless_disabled() {
    let collector = Collector::grpc();
    let endpoint = collector.endpoint();
    let variables = [ALWAYS_ON, ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)];
    let delay = [variables[0], variables[1], ("OTEL_BSP_SCHEDULE_DELAY", "5")];
    let service = Service::start("current", &delay);
    service.get("/users/7", 3);
    collector.await_spans(3);
    collector::until("the counters of spans", || {
        let text = service.get("/metrics", 1);
        assert!(
            text.contains(
                "http_requests_total{method=\"GET\",path=\"/users/{id}\",status=\"200\"} 3"
            ),
            "{text}"
        );
        for counter in [
            "# HELP otel_sdk_processor_span_processed_total The number of spans",
            "otel_sdk_processor_span_processed_total{error_type=\"queue_full\",\
             otel_component_name=\"batching_span_processor/0\",\
             otel_component_type=\"batching_span_processor\"} 0",
            "otel_sdk_exporter_span_exported_total{error_type=\"rejected\",\
             otel_component_name=\"otlp_grpc_span_exporter/0\",\
             otel_component_type=\"otlp_grpc_span_exporter\"} 0",
        ] {
            assert!(text.contains(counter), "{counter} in {text}");
        }
        text.contains(
            "otel_sdk_exporter_span_exported_total{otel_component_name=\"otlp_grpc_span_exporter/0\",\
             otel_component_type=\"otlp_grpc_span_exporter\"} 3",
        )
    });
    service.stop();

    let off = [variables[0], variables[1], ("METRICS_ENABLED", "false")];
    let service = Service::start("current", &off);
    assert!(!service.get("/metrics", 1).contains("http_requests_total"));
    let output = service.stop();
    assert!(!output.contains("no recorder is installed"), "{output}");
}

#[test]
fn the_console_exporter_prints_no_colors_unless_on_a_terminal() {
    let variables = [
        ALWAYS_ON,
        ("OTEL_TRACES_EXPORTER", "console"),
        ("LOG_LEVEL", "off"),
    ];
    let service = Service::start("multi", &variables);
    service.get("/users/7", 1);
    let output = service.stop();
    assert!(output.contains("  1 span, "), "{output}");
    assert!(output.contains("\nGET /users/{id} "), "{output}");
    assert!(output.contains("  200 /users/7\n"), "{output}");
    assert!(!output.contains('\x1b'), "{output}");
}

#[test]
fn failing_requests_are_exported_although_their_traces_are_not_sampled() {
    let none = ("OTEL_TRACES_SAMPLER_ARG", "0");
    for backend in ["tracing", "opentelemetry"] {
        for (keep, expected) in [("", 10), ("none", 0), ("slower_than=60s", 0)] {
            let collector = Collector::grpc();
            let endpoint = collector.endpoint();
            let variables = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
                ("SERVICE_BACKEND", backend),
                ("TRACES_KEEP", keep),
                none,
            ];
            let service = Service::start("multi", &variables);
            service.get("/prices/7", 20);
            service.get("/fails", 5);
            service.stop();
            assert_eq!(collector.spans(), expected, "{backend} {keep}");
        }
    }
    let limited = [none, ("TRACES_KEEP", "errors,per_second=1")];
    let service = Service::start("multi", &limited);
    service.get("/fails", 40);
    let metrics = service.get("/metrics", 1);
    let name = "otel_sdk_processor_span_processed_total{error_type=\"keep_limited\",";
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
    let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    // At least one trace is kept, and another one in each second of the test.
    assert!(count > 0.0 && count <= 2.0 * 39.0, "{line}");
    drop(service.stop());
}

#[test]
fn invalid_opentelemetry_variables_are_logged_and_the_service_runs() {
    let variables = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_PROPAGATORS", "jaeger"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ];
    let service = Service::start("current", &variables);
    assert_eq!(service.get("/users/7", 1), "user");
    let output = service.stop();
    let warnings: Vec<_> = log_lines(&output)
        .into_iter()
        .filter(|line| line["level"] == "WARN")
        .map(|line| line["fields"]["message"].to_string())
        .collect();
    assert_eq!(warnings.len(), 2, "{output}");
    for (warning, parts) in warnings.iter().zip([
        [
            "OTEL_TRACES_SAMPLER",
            "sometimes",
            "using parentbased_traceidratio",
        ],
        ["OTEL_PROPAGATORS", "jaeger", "no maintained propagator"],
    ]) {
        for part in parts {
            assert!(warning.contains(part), "{part} in {warning}");
        }
    }
}

#[test]
fn spans_are_delivered_even_if_all_other_variables_are_invalid() {
    let collector = Collector::grpc();
    let endpoint = collector.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ALWAYS_ON,
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_RESOURCE_ATTRIBUTES", "oops"),
        ("OTEL_PROPAGATORS", "w3c"),
        ("OTEL_METRICS_EXPORTER", "statsd"),
        ("OTEL_LOGS_EXPORTER", "file"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "oops"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "nowhere"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "often"),
        ("RUST_LOG", "users=chatty"),
    ];
    let service = Service::start("current", &variables);
    service.get("/users/7", 20);
    let output = service.stop();
    assert_eq!(collector.spans(), 20, "{output}");
    let warnings = log_lines(&output)
        .into_iter()
        .filter(|line| line["level"] == "WARN");
    assert_eq!(warnings.count(), variables.len() - 2, "{output}");
}
