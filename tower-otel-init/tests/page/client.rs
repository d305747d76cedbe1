//! A page and requests to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use opentelemetry::{
    Context,
    trace::{Span, Tracer, TracerProvider},
};
use serde_json::Value;
use tower_otel_init::{Telemetry, TelemetryBuilder};
use tracing_subscriber::Registry;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(crate) fn builder() -> TelemetryBuilder {
    Telemetry::builder("shop").page(LOOPBACK)
}

pub(crate) fn start() -> (Telemetry, SocketAddr) {
    let (telemetry, _) = builder().local::<Registry>().unwrap();
    let address = telemetry.page().unwrap();
    (telemetry, address)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Sends a request and returns the head and the body.
pub(crate) fn send(address: SocketAddr, method: &str, path: &str, host: &str) -> (String, String) {
    let mut stream = connect(address);
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let response = String::from_utf8(response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (String, String) {
    send(address, "GET", path, "localhost")
}

/// Returns the JSON of a chunked or plain body.
pub(crate) fn json(body: &str) -> Value {
    let start = body.find(['{', '[']).unwrap();
    let text: String = match body.starts_with(['{', '[']) {
        true => body.to_owned(),
        false => {
            let mut text = String::new();
            let mut rest = body;
            while let Some((size, after)) = rest.split_once("\r\n") {
                let size = usize::from_str_radix(size, 16).unwrap();
                text.push_str(&after[..size]);
                rest = &after[(size + 2).min(after.len())..];
            }
            text
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} at {start}: {text}"))
}

/// Reads events until one of this name satisfies the condition.
pub(crate) fn wait_for_event(
    address: SocketAddr,
    name: &str,
    mut is_wanted: impl FnMut(&Value) -> bool,
) -> Value {
    let mut stream = connect(address);
    write!(stream, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let started = Instant::now();
    let mut found = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut found);
        }
        if let Some(data) = line.strip_prefix("data: ")
            && found == name
        {
            let data = serde_json::from_str(data).unwrap();
            if is_wanted(&data) {
                return data;
            }
        }
        assert!(started.elapsed() < TIMEOUT);
    }
    panic!("the stream ended");
}

/// Ends a span, and waits until the page has its trace.
pub(crate) fn record_and_wait(telemetry: &Telemetry, name: &'static str) {
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    tracer.start_with_context(name, &Context::new()).end();
    wait_for_event(telemetry.page().unwrap(), "traces", |list| {
        let changed = list["changed"].as_array().unwrap();
        changed.iter().any(|trace| trace["name"] == name)
    });
}

/// Returns the status line and the body of the response to a request with spans.
pub(crate) fn post(address: SocketAddr, headers: &str, body: &[u8]) -> (String, String) {
    let mut stream = connect(address);
    let length = body.len();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A refused request is not read to its end.
    let _ = stream.write_all(body);
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    let response = String::from_utf8_lossy(&response).into_owned();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}
