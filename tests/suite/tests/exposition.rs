//! The scraped metrics, parsed by the Prometheus client library for Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::Future,
    io::Write,
    path::{Path, PathBuf},
    pin::pin,
    process::{Command, Stdio},
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics::with_local_recorder;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use suite_tests::telemetry::sum;
use tower::{Layer, Service, service_fn};
use tower_otel_init::{Layers, MetricsExporter, Telemetry};
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_prometheus::Prometheus;
use tracing_subscriber::Registry;

/// A Python program that prints every sample as a line of JSON: family, type, name, labels, value.
const PARSER: &str = r#"
import json, sys
if sys.argv[1] == "strict":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        value = sample.value if abs(sample.value) != float("inf") else str(sample.value)
        print(json.dumps([family.name, family.type, sample.name, sample.labels, value]))
"#;

/// Runs a program and returns its output. Panics if it fails.
fn run(program: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let mut stdin = child.stdin.take().unwrap();
    let writer = {
        let input = input.to_owned();
        std::thread::spawn(move || stdin.write_all(input.as_bytes()))
    };
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{} failed", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the interpreter of a virtual environment with prometheus_client of PyPI.
fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(install_python);
    &PYTHON
}

fn install_python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus_client");
    let python = folder.join("bin/python");
    if !folder.join("installed").exists() {
        let arguments = ["-m", "venv", folder.to_str().unwrap()];
        run(Path::new("python3"), &arguments, "");
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "prometheus_client==0.22.1",
        ];
        run(&python, &install, "");
        std::fs::write(folder.join("installed"), "").unwrap();
    }
    python
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

async fn not_found(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response
        .header("grpc-status", "5")
        .body(Full::default())
        .unwrap())
}

fn send(layer: MetricsLayer, path: &str) {
    let request = Request::get(path).body(()).unwrap();
    exchange(layer.layer(service_fn(hello)), request);
}

fn call(layer: MetricsLayer, path: &str) {
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.header("te", "trailers").body(()).unwrap();
    exchange(layer.grpc().layer(service_fn(not_found)), request);
}

fn exchange<S, B>(mut service: S, request: Request<()>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let exchange = async {
        let Ok(response) = service.call(request).await;
        response.into_body().collect().await.unwrap();
    };
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(exchange).as_mut().poll(cx).is_ready());
}

/// Records metrics with both layers and with the facade, with all kinds of names and values, and with exemplars.
fn record(odd: &'static str) -> Prometheus {
    let (recorder, prometheus) = Prometheus::builder()
        .buckets("balance", [-1.0, 0.0, 1e6])
        .exemplars()
        .build()
        .unwrap();
    let span = SdkTracerProvider::default().tracer("").start("span");
    let _active = opentelemetry::Context::current_with_span(span).attach();
    with_local_recorder(&recorder, || {
        for names in [Names::Short, Names::Conventions] {
            let labelled = |layer: MetricsLayer| {
                let layer = layer.names(names).body_sizes();
                layer.label("odd", move |_| Some(odd.replace('\\', "/").into()))
            };
            send(labelled(MetricsLayer::server()), "/a");
            send(labelled(MetricsLayer::client()), "http://stock.internal/a");
            call(labelled(MetricsLayer::server()), "/shop.Stock/Get");
            call(
                labelled(MetricsLayer::client()),
                "http://stock.internal/shop.Stock/Get",
            );
        }
        metrics::histogram!("db_query_duration_seconds", "query_type" => "select").record(0.01);
        metrics::describe_counter!(
            "auth_failures_total",
            "Failed \"authentications\"\\\n, by reason."
        );
        metrics::counter!("auth_failures_total", "reason" => "expired").increment(1);
        metrics::histogram!("llm_request_duration_seconds", "provider" => "anthropic", "model" => odd)
            .record(0.5);
        metrics::gauge!("websocket_connections").increment(1);
        // OpenMetrics interprets these names differently from the text format.
        metrics::counter!("restarts").increment(1);
        metrics::counter!("jobs_total").increment(2);
        metrics::gauge!("jobs").set(3);
        metrics::histogram!("balance").record(-0.5);
        metrics::histogram!("lag_seconds").record(-1.0);
        metrics::gauge!("extreme").set(-1e-300);
        metrics::gauge!("größe.größer", "größe" => "größe").set(f64::INFINITY);
    });
    prometheus
}

/// Returns the body of a scrape that accepts this type.
fn scrape(prometheus: &Prometheus, accept: &str) -> String {
    let request = Request::get("/metrics").header("accept", accept);
    let mut service = prometheus.service();
    let exchange = async {
        let Ok(response) = service.call(request.body(()).unwrap()).await;
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let cx = &mut Context::from_waker(Waker::noop());
    let mut exchange = pin!(exchange);
    // A scrape is pending only between its pieces, so it waits for no event.
    loop {
        if let Poll::Ready(body) = exchange.as_mut().poll(cx) {
            return String::from_utf8(body.to_vec()).unwrap();
        }
    }
}

/// A sample of the parser: family, type, name, labels, value.
type Parsed = Vec<serde_json::Value>;

fn parse(parser: &str, text: &str) -> Parsed {
    let parsed = run(python(), &["-c", PARSER, parser], text);
    let samples: Parsed = parsed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples.len(), lines, "one sample per line\n{text}");
    samples
}

const ODD: &str = "a \\ \"quoted\"\nvalue, {braced} = é";

fn assert_model_is_preserved(samples: &Parsed) {
    let name = "llm_request_duration_seconds_count";
    let llm = samples.iter().find(|sample| sample[2] == name).unwrap();
    assert_eq!(llm[3]["model"], ODD);
}

#[test]
#[ignore = "needs prometheus_client of PyPI, which it installs by pip: cargo test -p suite-tests --test exposition -- --ignored"]
fn prometheus_client_parses_the_rendered_metrics() {
    let prometheus = record(ODD);
    let text = prometheus.render();
    assert_eq!(text, scrape(&prometheus, "text/plain"));
    let samples = parse("lenient", &text);
    for (family, of, name) in [
        ("http_requests", "counter", "http_requests_total"),
        (
            "http_request_duration_seconds",
            "histogram",
            "http_request_duration_seconds_count",
        ),
        (
            "http_server_active_requests",
            "gauge",
            "http_server_active_requests",
        ),
        (
            "http_server_response_body_size_bytes",
            "histogram",
            "http_server_response_body_size_bytes_sum",
        ),
        ("auth_failures", "counter", "auth_failures_total"),
        ("websocket_connections", "gauge", "websocket_connections"),
    ] {
        let read = samples.iter().filter(|sample| sample[2] == name);
        let read: Vec<_> = read.collect();
        assert!(!read.is_empty(), "{name} in {text}");
        let mut total = 0.0;
        for sample in read {
            assert_eq!((&sample[0], &sample[1]), (&family.into(), &of.into()));
            total += sample[4].as_f64().unwrap();
        }
        assert_eq!(total, sum(&text, name, &[]), "{name}");
    }
    assert_model_is_preserved(&samples);
    for sample in &samples {
        assert_ne!(sample[1], "unknown", "{sample}");
    }
}

#[test]
#[ignore = "needs prometheus_client of PyPI, which it installs by pip: cargo test -p suite-tests --test exposition -- --ignored"]
fn the_strict_parser_of_prometheus_client_accepts_open_metrics() {
    let prometheus = record(ODD);
    let text = scrape(&prometheus, "application/openmetrics-text;version=1.0.0");
    let samples = parse("strict", &text);
    assert_model_is_preserved(&samples);
    let of = |name: &str| {
        let found = samples.iter().find(|sample| sample[2] == name);
        let [family, of, _, _, value] = &found.unwrap().as_array().unwrap()[..] else {
            panic!("{name}");
        };
        (
            family.as_str().unwrap(),
            of.as_str().unwrap(),
            value.as_f64(),
        )
    };
    let requests = ("http_requests", "counter", Some(1.0));
    assert_eq!(of("http_requests_total"), requests);
    let calls = ("grpc_requests", "counter", Some(1.0));
    assert_eq!(of("grpc_requests_total"), calls);
    let duration = "rpc_client_call_duration_seconds";
    let expected = (duration, "histogram", Some(1.0));
    assert_eq!(of(&format!("{duration}_count")), expected);
    let exemplars = text.matches(" # {trace_id=\"").count();
    assert!(exemplars > 10, "{exemplars} exemplars in {text}");
    assert_eq!(of("restarts"), ("restarts", "unknown", Some(1.0)));
    assert_eq!(of("jobs_total"), ("jobs_total", "unknown", Some(2.0)));
    assert_eq!(of("jobs"), ("jobs", "gauge", Some(3.0)));
    assert_eq!(of("balance_bucket"), ("balance", "histogram", Some(0.0)));
    // Except for the notation of boundaries, the samples equal those of the text format.
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split(['{', ' ']).next());
        // OpenMetrics has no sum and no count of these metrics.
        let names = names.filter(|name| !name.starts_with("balance") && !name.starts_with("lag_"));
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(&text), names(&prometheus.render()));
}

/// The metrics of the application whose names promtool objects to.
const ODD_NAMES: [&str; 3] = ["restarts", "jobs_total", "jobs"];

#[test]
#[ignore = "needs promtool (Debian package prometheus): cargo test -p suite-tests --test exposition -- --ignored"]
fn promtool_has_no_objection_to_a_name_of_the_layers() {
    let text = record(ODD).render();
    let checked = promtool(&text);
    assert!(checked.contains("restarts"), "promtool checks: {checked}");
    for line in checked.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let name = name.trim_end_matches(':');
        assert!(ODD_NAMES.contains(&name), "{checked}");
    }
}

/// Returns the objections of `promtool check metrics`, one per line.
fn promtool(text: &str) -> String {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    out + &err
}

#[test]
#[ignore = "needs promtool (Debian package prometheus), and prometheus_client of PyPI, which it installs by pip: cargo test -p suite-tests --test exposition -- --ignored"]
fn the_page_of_telemetry_itself_is_accepted_by_both_tools() {
    // The exporter of spans has metrics even without a collector.
    let builder = Telemetry::builder("users").metrics(MetricsExporter::Prometheus);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (telemetry, _): (_, Layers<Registry>) = builder.layers().unwrap();
    let prometheus = telemetry.prometheus().unwrap();
    send(MetricsLayer::server(), "/a");
    let text = prometheus.render();
    for name in [
        "otel_sdk_exporter_span_exported_total",
        "otel_sdk_processor_span_queue_size",
        "process_resident_memory_bytes",
        "tokio_workers",
        "http_requests_total",
    ] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}: {text}");
    }
    assert_eq!(promtool(&text), "");
    for accept in ["text/plain", "application/openmetrics-text"] {
        let parser = if accept == "text/plain" {
            "lenient"
        } else {
            "strict"
        };
        assert!(!parse(parser, &scrape(prometheus, accept)).is_empty());
    }
}
