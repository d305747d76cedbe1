//! Failures of exporters are on the page, without secrets.

use std::{fmt::Write as _, net::TcpListener, time::Duration};

use opentelemetry::{
    Context,
    trace::{Span, Tracer, TracerProvider},
};
use tower_otel_init::Protocol;
use tracing_subscriber::Registry;

use crate::client::{LOOPBACK, TIMEOUT, builder, get, record_and_wait, start, wait_for_event};

#[test]
fn grpc_to_the_port_of_a_page_is_a_failure_that_names_the_protocol() {
    let (_other, address) = start();
    let builder = builder()
        .endpoint(format!("http://{address}"))
        .protocol(Protocol::Grpc)
        .export_timeout(Duration::from_secs(1));
    let (telemetry, _) = builder.local::<Registry>().unwrap();
    record_and_wait(&telemetry, "a");
    wait_for_event(telemetry.page().unwrap(), "overview", |overview| {
        let failure = overview["status"]["failure"].as_str();
        failure.is_some_and(|failure| failure.contains("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"))
    });
}

/// While exporters fail, the page shows the configuration and the errors.
#[test]
fn nothing_of_the_page_shows_a_secret_of_the_exporters() {
    const CANARY: &str = "c4n4ry";
    // The socket is closed, so its port refuses connections.
    let closed = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let protocols = [
        Protocol::HttpProtobuf,
        #[cfg(feature = "grpc")]
        Protocol::Grpc,
    ];
    for protocol in protocols {
        let (telemetry, _) = builder()
            .endpoint(format!("http://me:{CANARY}@{closed}/{CANARY}?key={CANARY}"))
            .header("authorization", format!("Bearer {CANARY}"))
            .protocol(protocol)
            .schedule_delay(Duration::from_millis(5))
            .metrics(tower_otel_init::MetricsExporter::Otlp)
            .metric_interval(Duration::from_millis(5))
            .local::<Registry>()
            .unwrap();
        let address = telemetry.page().unwrap();
        let provider = telemetry.tracer_provider().unwrap();
        let mut span = provider.tracer("").start("work");
        let trace = span.span_context().trace_id();
        span.end();
        let mut text = String::new();
        wait_for_event(address, "overview", |overview| {
            writeln!(text, "{overview}").unwrap();
            overview["status"]["spans"]["export_failed"] == 1
        });
        wait_for_event(address, "traces", |traces| {
            writeln!(text, "{traces}").unwrap();
            traces.to_string().contains(&trace.to_string())
        });
        for path in ["/", &format!("/traces/{trace}"), "/search?q=work"] {
            let (head, body) = get(address, path);
            assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
            writeln!(text, "{head} {body}").unwrap();
        }
        assert!(text.contains(&closed.to_string()), "{text}");
        assert!(!text.contains(CANARY), "{text}");
        drop(telemetry);
    }
}

#[test]
fn a_collector_that_fails_is_on_the_page() {
    let builder = builder()
        .endpoint("http://127.0.0.1:1")
        .protocol(Protocol::HttpProtobuf);
    let (telemetry, _) = builder.local::<Registry>().unwrap();
    let address = telemetry.page().unwrap();
    telemetry
        .tracer_provider()
        .unwrap()
        .tracer("")
        .start_with_context("a", &Context::new())
        .end();
    telemetry.flush(TIMEOUT).unwrap_err();
    let overview = wait_for_event(address, "overview", |overview| {
        overview["status"]["failure"].is_string()
    });
    assert_eq!(overview["status"]["spans"]["export_failed"], 1);
    wait_for_event(address, "traces", |list| list["changed"][0]["name"] == "a");
    let _ = telemetry.shutdown(TIMEOUT);
}
