//! `OTEL_METRICS_EXPORTER=otlp,prometheus`: a scrape and a collector receive the same metrics.
#![cfg(all(feature = "grpc", feature = "http", feature = "prometheus"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use collector::faulty::{FaultyCollector, Reply};
use collector::{Behavior, Collector, TIMEOUT};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue as Attribute, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric, metric::Data, number_data_point,
};
use tower::ServiceBuilder;
use tower_otel_init::{
    Layers, MetricsExporter, MetricsLayer, Telemetry, TraceLayer, TracesExporter,
};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The timeout of the shutdown of the service.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Sends a request and returns the body of the response.
fn send(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    body.to_owned()
}

/// A service that records metrics, prints its `/metrics` and stops. The tests below run it in a separate process,
/// because a process has only one recorder of the `metrics` facade.
#[test]
#[ignore = "runs in a process started by the other tests"]
fn service() {
    if std::env::var("METRICS_SERVICE").is_err() {
        return;
    }
    let telemetry = Telemetry::from_env("shop").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::server())
        .layer(MetricsLayer::server());
    let answer = |Path(id): Path<u16>| async move { StatusCode::from_u16(id).unwrap() };
    let app = Router::new()
        .route("/status/{id}", get(answer))
        .layer(layers)
        .route_service("/metrics", telemetry.prometheus().unwrap().service());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move { axum::serve(listener, app).await });
    for status in [200, 200, 404, 500] {
        send(port, &format!("/status/{status}"));
    }
    send(port, "/nowhere");
    metrics::describe_counter!("jobs_total", "Jobs \"done\"\\,\nby kind.");
    metrics::counter!("jobs_total", "kind" => "a \"b\"\\\n,}").increment(3);
    metrics::counter!("jobs_total").increment((1 << 53) + 1);
    metrics::gauge!("temperature_celsius", "größe" => "groß").set(-40.5);
    metrics::histogram!("body_bytes").record(1e3);
    let connections = metrics::gauge!("connections");
    connections.increment(5);
    connections.decrement(2);
    // Metrics of meters are pushed and not scraped.
    let meter = telemetry.meter_provider().unwrap().meter("library");
    let cache_hits = meter.u64_counter("cache.hits").build();
    cache_hits.add(7, &[KeyValue::new("cache", "users")]);
    println!("<scrape>{}</scrape>", send(port, "/metrics"));
    let started = Instant::now();
    let _ = telemetry.shutdown(SHUTDOWN);
    println!("<shutdown>{}</shutdown>", started.elapsed().as_millis());
    // `/metrics` is still served.
    assert!(send(port, "/metrics").contains("jobs_total"));
}

/// A process that increments a counter and stops.
#[test]
#[ignore = "runs in a process started by the other tests"]
fn job() {
    let Ok(service) = std::env::var("METRICS_SERVICE") else {
        return;
    };
    let telemetry = Telemetry::from_env("job").unwrap();
    metrics::counter!("jobs_total").increment(1);
    if service == "flushes" {
        println!("<flush>{:?}</flush>", telemetry.flush(SHUTDOWN));
    }
    let _ = telemetry.shutdown(SHUTDOWN);
}

/// Runs the service and returns its output.
fn run(variables: &[(&str, &str)]) -> String {
    run_test("service", variables)
}

/// Runs a test in a separate process and returns its output.
fn run_test(test: &str, variables: &[(&str, &str)]) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "-q"])
        .env("METRICS_SERVICE", "1")
        .env("OTEL_METRICS_EXPORTER", "otlp,prometheus")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let output = String::from_utf8(child.stdout).unwrap();
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}\n{errors}");
    output
}

/// Returns the part of the output between two tags.
fn between<'a>(output: &'a str, tag: &str) -> &'a str {
    let (_, after) = output.split_once(&format!("<{tag}>")).unwrap();
    after.split_once(&format!("</{tag}>")).unwrap().0
}

/// Values by name and labels, as in the text format.
type Samples = BTreeMap<String, String>;

/// Returns whether a metric can change between a scrape and a push: metrics about telemetry and the process.
fn changes(name: &str) -> bool {
    ["otel_sdk_", "process_", "tokio_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn scraped(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter(|line| !line.is_empty() && !changes(line));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

fn labels(attributes: &[Attribute], le: Option<&str>) -> String {
    let labels = attributes.iter().map(|attribute| {
        let Some(Value::StringValue(value)) = attribute.value.clone().unwrap().value else {
            panic!("{attribute:?}");
        };
        let value = value.replace('\\', "\\\\").replace('\n', "\\n");
        format!("{}=\"{}\"", attribute.key, value.replace('"', "\\\""))
    });
    let labels = labels.chain(le.map(|le| format!("le=\"{le}\"")));
    let labels = labels.collect::<Vec<_>>().join(",");
    if labels.is_empty() {
        return labels;
    }
    format!("{{{labels}}}")
}

/// Returns the samples of cumulative metrics, as Prometheus represents them.
fn pushed<'a>(metrics: impl Iterator<Item = &'a Metric>) -> Samples {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let mut samples = Samples::new();
    for metric in metrics.filter(|metric| !changes(&metric.name)) {
        let name = &metric.name;
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == cumulative);
                for point in &sum.data_points {
                    assert!(point.start_time_unix_nano < point.time_unix_nano);
                    let Some(number_data_point::Value::AsInt(value)) = point.value else {
                        panic!("{name}: {point:?}");
                    };
                    let series = format!("{name}{}", labels(&point.attributes, None));
                    samples.insert(series, value.to_string());
                }
            }
            Data::Gauge(gauge) => {
                for point in &gauge.data_points {
                    let Some(number_data_point::Value::AsDouble(value)) = point.value else {
                        panic!("{name}: {point:?}");
                    };
                    let series = format!("{name}{}", labels(&point.attributes, None));
                    samples.insert(series, value.to_string());
                }
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, cumulative);
                for point in &histogram.data_points {
                    let bounds = point.explicit_bounds.iter().map(f64::to_string);
                    let mut up_to = 0;
                    for (le, count) in bounds.chain(["+Inf".into()]).zip(&point.bucket_counts) {
                        up_to += count;
                        let labels = labels(&point.attributes, Some(&le));
                        samples.insert(format!("{name}_bucket{labels}"), up_to.to_string());
                    }
                    let labels = labels(&point.attributes, None);
                    let sum = point.sum.unwrap().to_string();
                    samples.insert(format!("{name}_sum{labels}"), sum);
                    samples.insert(format!("{name}_count{labels}"), point.count.to_string());
                }
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    samples
}

/// Returns the metrics of one scope in all requests.
fn of_scope<'a>(
    pushes: &'a [ExportMetricsServiceRequest],
    scope: &'a str,
) -> impl Iterator<Item = &'a Metric> {
    let resources = pushes.iter().flat_map(|push| &push.resource_metrics);
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    let scopes = scopes.filter(move |metrics| metrics.scope.as_ref().unwrap().name == scope);
    scopes.flat_map(|scope| &scope.metrics)
}

#[test]
fn a_scrape_and_a_collector_have_the_same_totals_after_a_shutdown() {
    for (http, protocol) in [(false, "grpc"), (true, "http/protobuf")] {
        for compression in ["none", "gzip"] {
            let collector = Collector::start(http, Behavior::Accepts);
            let output = run(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k7"),
            ]);
            let case = format!("{protocol} {compression}");
            let received = collector.received.lock().unwrap();
            let pushes: Vec<_> = received
                .pushes
                .iter()
                .map(|(_, push)| push.clone())
                .collect();
            let scraped = scraped(between(&output, "scrape"));
            assert_eq!(
                pushed(of_scope(&pushes, "tower-otel-init")),
                scraped,
                "{case}"
            );
            for series in [
                r#"http_requests_total{method="GET",path="/status/{id}",status="500"}"#,
                r#"http_request_duration_seconds_count{method="GET",path="/status/{id}"}"#,
                r#"http_requests_in_flight{method="GET"}"#,
                r#"jobs_total{kind="a \"b\"\\\n,}"}"#,
                r#"temperature_celsius{gr__e="groß"}"#,
            ] {
                assert!(
                    scraped.contains_key(series),
                    "{case}: {series} in {scraped:#?}"
                );
            }
            assert_eq!(scraped["jobs_total"], "9007199254740993");

            let metric = |name: &str| {
                let mut metrics = of_scope(&pushes, "tower-otel-init");
                metrics.find(|metric| metric.name == name).expect(name)
            };
            let jobs = metric("jobs_total");
            assert_eq!(jobs.description, "Jobs \"done\"\\,\nby kind.");
            let units = ["http_request_duration_seconds", "body_bytes", "connections"];
            assert_eq!(units.map(|name| &*metric(name).unit), ["s", "By", ""]);
            // Metrics about telemetry are pushed once, with the names of the scrape.
            let exported = of_scope(&pushes, "tower-otel-init")
                .filter(|metric| metric.name == "otel_sdk_exporter_span_exported_total")
                .last();
            let Some(Data::Sum(exported)) = &exported.unwrap().data else {
                panic!("{case}: {exported:?}");
            };
            // The spans of the last batch are included.
            let exported = exported.data_points.iter().map(|point| match point.value {
                Some(number_data_point::Value::AsInt(count)) => count,
                _ => panic!("{case}: {point:?}"),
            });
            let spans = i64::try_from(received.spans.len()).unwrap();
            assert!(spans > 0, "{case}");
            assert_eq!(exported.sum::<i64>(), spans, "{case}");
            assert!(
                !received
                    .metrics
                    .iter()
                    .any(|name| name.starts_with("otel.sdk"))
            );
            let hits = of_scope(&pushes, "library").map(|metric| &*metric.name);
            assert!(hits.eq(["cache.hits"]), "{case}");

            for (headers, push) in &received.pushes {
                assert_eq!(headers["api-key"], "k7", "{case}");
                for resource in &push.resource_metrics {
                    let resource = format!("{:?}", resource.resource);
                    assert!(resource.contains("\"shop\""), "{case}: {resource}");
                }
            }
        }
    }
}

#[test]
fn a_collector_that_fails_does_not_delay_the_service_and_is_logged_once() {
    for (http, protocol) in [(false, "grpc"), (true, "http/protobuf")] {
        for (behavior, problem) in [
            (Behavior::Refuses, "export of metrics to"),
            (
                Behavior::Rejects,
                "rejected 1 of the metrics of a batch: too old",
            ),
            (Behavior::Hangs, "timed out"),
            (Behavior::SendsGarbage, "export of metrics to"),
        ] {
            let collector = Collector::start(http, behavior);
            let output = run(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "10"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=c4n4ry"),
            ]);
            let case = format!("{protocol} {behavior:?}: {output}");
            assert!(between(&output, "scrape").contains("jobs_total"), "{case}");
            let took: u128 = between(&output, "shutdown").parse().unwrap();
            assert!(took < SHUTDOWN.as_millis() + 1_000, "{case}");
            assert!(output.contains(problem), "{case}");
            let warnings = output.matches("export of metrics to").count();
            assert!(warnings <= 1, "{case}");
            assert!(!output.contains("c4n4ry"), "{case}");
        }
    }
}

#[test]
fn a_flush_and_a_shutdown_push_the_metrics_of_now() {
    let collector = Collector::grpc();
    let builder = Telemetry::builder("users")
        .traces(TracesExporter::None)
        .metrics(MetricsExporter::Prometheus)
        .metrics(MetricsExporter::Otlp)
        .endpoint(collector.endpoint());
    let (telemetry, _): (_, Layers<Registry>) = builder.layers().unwrap();
    let pushed = || {
        let received = collector.received.lock().unwrap();
        let last = received.pushes.last().map(|(_, push)| push.clone());
        let pushes: Vec<_> = last.into_iter().collect();
        pushed(of_scope(&pushes, "tower-otel-init"))
    };
    for count in ["1", "2"] {
        metrics::counter!("flushed_total").increment(1);
        telemetry.flush(TIMEOUT).unwrap();
        assert_eq!(pushed()["flushed_total"], count);
    }
    metrics::gauge!("last").set(f64::NAN);
    telemetry.shutdown(TIMEOUT).unwrap();
    assert_eq!(pushed()["last"], "NaN");
    let pushes = collector.received.lock().unwrap().pushes.len();
    assert!(telemetry.flush(TIMEOUT).is_err(), "it is shut down");
    assert_eq!(collector.received.lock().unwrap().pushes.len(), pushes);
}

/// Responds to each push with the next status. Returns the number of pushes when the client has ended.
fn answer_pushes(listener: TcpListener, statuses: Vec<&'static str>) -> usize {
    let mut pushes = 0;
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.unwrap());
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).unwrap();
        if line.starts_with("END") {
            break;
        }
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            if let Some((_, value)) = line
                .split_once(": ")
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        let status = statuses[pushes.min(statuses.len() - 1)];
        pushes += 1;
        let head = "content-length: 0\r\nconnection: close";
        write!(stream.get_mut(), "HTTP/1.1 {status}\r\n{head}\r\n\r\n").unwrap();
    }
    pushes
}

/// Runs the job with a collector that responds with these statuses. Returns the number of pushes, and the output.
fn run_job(service: &str, statuses: &[&'static str]) -> (usize, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let statuses = statuses.to_vec();
    let collector = thread::spawn(move || answer_pushes(listener, statuses));
    let output = run_test(
        "job",
        &[
            ("METRICS_SERVICE", service),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("http://user:c4n4ry@{address}"),
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ],
    );
    writeln!(TcpStream::connect(address).unwrap(), "END").unwrap();
    assert!(!output.contains("c4n4ry"), "{output}");
    (collector.join().unwrap(), output)
}

const UNAVAILABLE: &str = "503 Service Unavailable";

#[test]
fn the_last_push_is_tried_twice_and_its_failure_is_logged() {
    let lost = "the last export of metrics failed";
    for (statuses, expected) in [
        (&["200 OK"][..], (1, false)),
        (&[UNAVAILABLE, "200 OK"], (2, false)),
        (&[UNAVAILABLE], (2, true)),
    ] {
        let (pushes, output) = run_job("stops", statuses);
        assert_eq!((pushes, output.contains(lost)), expected, "{output}");
    }
}

#[test]
fn a_flush_returns_the_error_of_the_push() {
    let (_, output) = run_job("flushes", &[UNAVAILABLE, "200 OK"]);
    let flushed = between(&output, "flush");
    assert!(
        flushed.starts_with("Err(") && flushed.contains("503"),
        "{flushed}"
    );
    let (_, output) = run_job("flushes", &["200 OK"]);
    assert_eq!(between(&output, "flush"), "Ok(())");
}

/// Exporters of metrics and of log records.
#[cfg(feature = "logs")]
const EXPORTERS: [(&str, &str); 3] = [
    ("otlp,prometheus", "none"),
    ("otlp", "none"),
    ("none", "otlp"),
];

#[test]
#[cfg(feature = "logs")]
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
                    "job",
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
#[cfg(feature = "logs")]
fn user_and_password_of_an_endpoint_are_sent_as_a_header_of_metrics_and_log_records() {
    for protocol in ["grpc", "http/protobuf"] {
        for (metrics, logs) in EXPORTERS {
            let collector = FaultyCollector::start(|_| Reply::Accept);
            run_test(
                "job",
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

/// A layer of the application that fails.
struct PanicsOnWarnings;

impl<S: Subscriber> Layer<S> for PanicsOnWarnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        assert!(*event.metadata().level() != Level::WARN, "a layer fails");
    }
}

/// A process with a layer that fails.
#[test]
#[ignore = "runs in a process started by the other tests"]
fn job_with_a_layer_that_panics() {
    if std::env::var("METRICS_SERVICE").is_err() {
        return;
    }
    let (telemetry, layers) = Telemetry::builder("job").layers().unwrap();
    tracing_subscriber::registry()
        .with(layers)
        .with(PanicsOnWarnings)
        .init();
    metrics::counter!("jobs_total").increment(1);
    println!("<refused>{:?}</refused>", telemetry.flush(SHUTDOWN));
    println!("<accepted>{:?}</accepted>", telemetry.flush(SHUTDOWN));
    println!("<end>{:?}</end>", telemetry.shutdown(SHUTDOWN));
}

#[test]
fn metrics_are_pushed_further_after_a_subscriber_panicked() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = FaultyCollector::start(|request| match request {
            0 => Reply::Refuse("no".to_owned()),
            _ => Reply::Accept,
        });
        let output = run_test(
            "job_with_a_layer_that_panics",
            &[
                (
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    &format!("http://{}", collector.address),
                ),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_TRACES_EXPORTER", "none"),
            ],
        );
        assert!(between(&output, "refused").contains("Err"), "{output}");
        assert_eq!(between(&output, "accepted"), "Ok(())", "{output}");
        assert_eq!(between(&output, "end"), "Ok(())", "{output}");
        assert_eq!(collector.seen().requests, 3, "{output}");
    }
}
