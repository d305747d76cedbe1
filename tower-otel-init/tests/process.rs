//! A service in a separate process, configured by variables and stopped by `SIGTERM`.
#![cfg(all(unix, feature = "grpc", feature = "http", feature = "prometheus"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[cfg(feature = "tls")]
mod support;

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::pending;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use collector::{Behavior, Collector};
use futures_util::{StreamExt, stream};
use tower::ServiceBuilder;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, shutdown_signal};

/// The service. The tests below run it in a separate process.
#[test]
#[ignore = "runs in a process started by the other tests"]
fn service() {
    let Ok(flavour) = std::env::var("SERVICE_RUNTIME") else {
        return;
    };
    let mut builder = match &*flavour {
        "multi" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let telemetry = Telemetry::from_env("unnamed").unwrap();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(serve(&telemetry));
    // Ends the tasks of open connections.
    drop(runtime);
}

#[tracing::instrument]
async fn price(item: u64) -> String {
    format!("{item} costs 7")
}

/// Blocks the thread forever.
fn block() -> &'static str {
    eprintln!("blocked");
    loop {
        std::thread::park();
    }
}

async fn serve(telemetry: &Telemetry) {
    let second = Telemetry::from_env("again").unwrap_err().to_string();
    assert!(second.contains("already started"), "{second}");
    let provider = telemetry.tracer_provider().cloned();
    let mut app = Router::new().route(
        "/users/{id}",
        get(|| async {
            tracing::info!(page = 7, "hello");
            tracing::debug!("never");
            "user"
        }),
    );
    app = app.route(
        "/prices/{id}",
        get(|Path(item): Path<u64>| async move { price(item).await }),
    );
    app = app.route(
        "/fails",
        get(|| async {
            price(7).await;
            StatusCode::INTERNAL_SERVER_ERROR
        }),
    );
    app = app.route(
        "/events",
        get(|| async {
            let first = stream::iter([Ok::<_, Infallible>("data: 1\n\n")]);
            Body::from_stream(first.chain(stream::pending()))
        }),
    );
    app = app.route("/block", get(|| async { block() }));
    let metrics = MetricsLayer::server();
    app = match (std::env::var("SERVICE_BACKEND").as_deref(), provider) {
        (Ok("opentelemetry"), Some(provider)) => {
            let traces = TraceLayer::server().tracer_provider(&provider);
            app.layer(ServiceBuilder::new().layer(traces).layer(metrics))
        }
        _ => app.layer(
            ServiceBuilder::new()
                .layer(TraceLayer::server())
                .layer(metrics),
        ),
    };
    if let Some(prometheus) = telemetry.prometheus() {
        app = app.route_service("/metrics", prometheus.service());
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("port {}", listener.local_addr().unwrap().port());
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal());
    let limit = std::env::var("SERVICE_DRAIN_MS").map(|limit| limit.parse().unwrap());
    let drained = async {
        shutdown_signal().await;
        eprintln!("stopping");
        match limit {
            Ok(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        served = server => served.unwrap(),
        () = drained => {}
    }
    eprintln!("served");
}

struct Service {
    child: Child,
    port: u16,
}

/// Reads a chunked body. Each chunk starts with its length in hexadecimal digits.
fn read_chunks(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut length = String::new();
        reader.read_line(&mut length).unwrap();
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

impl Service {
    fn start(runtime: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["service", "--exact", "--ignored", "--nocapture", "-q"])
            .env("SERVICE_RUNTIME", runtime)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
        let port = lines
            .by_ref()
            .map(Result::unwrap)
            .inspect(|line| eprintln!("service: {line}"))
            .find_map(|line| line.strip_prefix("port ")?.parse().ok());
        drop(lines);
        let port = port.unwrap_or_else(|| panic!("the service did not start"));
        Self { child, port }
    }

    /// Sends requests one after another on one connection, and returns the last response body.
    fn get(&self, path: &str, times: usize) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut body = Vec::new();
        for _ in 0..times {
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            let (mut length, mut is_chunked) = (0, false);
            for line in reader.by_ref().lines().map(Result::unwrap) {
                if let Some(number) = line.strip_prefix("content-length: ") {
                    length = number.parse().unwrap();
                }
                is_chunked |= line == "transfer-encoding: chunked";
                if line.is_empty() {
                    break;
                }
            }
            body = if is_chunked {
                read_chunks(&mut reader)
            } else {
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                body
            };
        }
        String::from_utf8(body).unwrap()
    }

    /// Opens a stream of events that never ends, and reads the first event.
    fn open_events(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "data: 1"));
        drop(lines);
        reader
    }

    fn send_sigterm(&self) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until the service has written this line to its standard error.
    fn wait_for_line(&mut self, expected: &str) {
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == expected));
    }

    /// Stops the service with `SIGTERM` and returns its standard output.
    fn stop(self) -> String {
        self.send_sigterm();
        let Output { status, stdout, .. } = self.child.wait_with_output().unwrap();
        let stdout = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{status}: {stdout}");
        stdout
    }
}

/// Returns the JSON lines of the output.
fn log_lines(output: &str) -> Vec<serde_json::Value> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALWAYS_ON: (&str, &str) = ("OTEL_TRACES_SAMPLER", "always_on");

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
        let server = support::PrivateCollector::start("process");
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

#[test]
fn a_second_sigterm_ends_a_process_that_waits_for_an_open_stream() {
    let mut service = Service::start("current", &[("OTEL_TRACES_EXPORTER", "none")]);
    let _events = service.open_events();
    service.send_sigterm();
    service.wait_for_line("stopping");
    assert_eq!(service.child.try_wait().unwrap(), None, "it waits");
    service.send_sigterm();
    assert_eq!(service.child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_second_sigterm_ends_a_process_whose_runtime_is_blocked() {
    let mut service = Service::start("current", &[("OTEL_TRACES_EXPORTER", "none")]);
    let mut stream = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
    write!(stream, "GET /block HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    service.wait_for_line("blocked");
    let started = Instant::now();
    // Signals that arrive at the same time can be merged into one.
    let status = loop {
        if let Some(status) = service.child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it still runs");
        service.send_sigterm();
    };
    assert_eq!(status.code(), Some(143));
}

#[test]
fn an_open_stream_ends_at_the_limit_of_the_shutdown_and_its_span_is_delivered() {
    let collector = Collector::grpc();
    let service = Service::start(
        "multi",
        &[
            ALWAYS_ON,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
            ("SERVICE_DRAIN_MS", "100"),
        ],
    );
    let _events = service.open_events();
    service.stop();
    let received = collector.received.lock().unwrap();
    let names: Vec<_> = received.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["GET /events"]);
}

#[test]
fn an_open_stream_and_a_collector_that_hangs_do_not_keep_the_process() {
    let collector = Collector::start(false, Behavior::Hangs);
    let service = Service::start(
        "multi",
        &[
            ALWAYS_ON,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
            ("SERVICE_DRAIN_MS", "100"),
        ],
    );
    let _events = service.open_events();
    let started = Instant::now();
    let output = service.stop();
    // The limit for open streams, and five seconds for the exports.
    assert!(started.elapsed() < Duration::from_secs(15), "{output}");
    assert!(output.contains("1 span was dropped"), "{output}");
}

#[test]
fn a_second_sigterm_ends_a_process_that_waits_for_its_collector() {
    let collector = Collector::start(false, Behavior::Hangs);
    let mut service = Service::start(
        "current",
        &[
            ALWAYS_ON,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
            ("SERVICE_DRAIN_MS", "100"),
        ],
    );
    let _events = service.open_events();
    service.send_sigterm();
    service.wait_for_line("served");
    service.send_sigterm();
    assert_eq!(service.child.wait().unwrap().code(), Some(143));
}

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
