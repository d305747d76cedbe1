//! Open streams, blocked runtimes and collectors do not keep a process alive.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use collector::{Behavior, Collector};

use crate::service::{ALWAYS_ON, Service};

/// Starts a service that exports to the collector and waits 100 ms for open streams.
fn start_with_short_drain(runtime: &str, collector: &Collector) -> Service {
    let endpoint = collector.endpoint();
    let variables = [
        ALWAYS_ON,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("SERVICE_DRAIN_MS", "100"),
    ];
    Service::start(runtime, &variables)
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
    let service = start_with_short_drain("multi", &collector);
    let _events = service.open_events();
    service.stop();
    let received = collector.received.lock().unwrap();
    let names: Vec<_> = received.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["GET /events"]);
}

#[test]
fn an_open_stream_and_a_collector_that_hangs_do_not_keep_the_process() {
    let collector = Collector::start(false, Behavior::Hangs);
    let service = start_with_short_drain("multi", &collector);
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
    let mut service = start_with_short_drain("current", &collector);
    let _events = service.open_events();
    service.send_sigterm();
    service.wait_for_line("served");
    service.send_sigterm();
    assert_eq!(service.child.wait().unwrap().code(), Some(143));
}
