//! A service and a job with metrics, each in a separate process.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use opentelemetry::{KeyValue, metrics::MeterProvider};
use tower::ServiceBuilder;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer};

/// The timeout of the shutdown of the service.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(3);

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
pub(crate) fn service() {
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
pub(crate) fn run(variables: &[(&str, &str)]) -> String {
    run_test("service::service", variables)
}

/// Runs a test in a separate process and returns its output.
pub(crate) fn run_test(test: &str, variables: &[(&str, &str)]) -> String {
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
pub(crate) fn between<'a>(output: &'a str, tag: &str) -> &'a str {
    let (_, after) = output.split_once(&format!("<{tag}>")).unwrap();
    after.split_once(&format!("</{tag}>")).unwrap().0
}
