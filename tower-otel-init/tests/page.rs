//! The page, over a socket.
#![cfg(all(feature = "page", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use opentelemetry::trace::{
    Span, SpanContext, Status, TraceContextExt, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use serde_json::Value;
use tower_otel_init::{Protocol, Sampler, Telemetry, TelemetryBuilder};
use tracing_subscriber::Registry;

const TIMEOUT: Duration = Duration::from_secs(20);
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn builder() -> TelemetryBuilder {
    Telemetry::builder("shop").page(LOOPBACK)
}

fn start() -> (Telemetry, SocketAddr) {
    let (telemetry, _) = builder().local::<Registry>().unwrap();
    let address = telemetry.page().unwrap();
    (telemetry, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Sends a request and returns the head and the body.
fn send(address: SocketAddr, method: &str, path: &str, host: &str) -> (String, String) {
    let mut stream = connect(address);
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let response = String::from_utf8(response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    send(address, "GET", path, "localhost")
}

/// Returns the JSON of a chunked or plain body.
fn json(body: &str) -> Value {
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
fn wait_for_event(
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

#[test]
fn the_files_are_served_with_a_strict_policy_and_without_cors() {
    let (_telemetry, address) = start();
    let (_, html) = get(address, "/");
    for path in ["/", "/page.css", "/page.js", "/icon.svg"] {
        let (head, body) = get(address, path);
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        assert!(
            head.contains("content-security-policy: default-src 'none'; script-src 'self'"),
            "{head}"
        );
        assert!(
            head.contains("require-trusted-types-for 'script'"),
            "{head}"
        );
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert!(!head.contains("access-control-"), "{head}");
        assert!(!body.is_empty(), "{path}");
    }
    for forbidden in ["<script>", "style=", "onclick", "http://", "https://"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(get(address, "/other").0.starts_with("http/1.1 404"));
}

#[test]
fn without_javascript_the_page_names_the_addresses_of_its_data() {
    let (telemetry, address) = start();
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    let mut span = tracer.start_with_context("a", &Context::new());
    let id = span.span_context().trace_id();
    span.end();
    wait_for_event(address, "traces", |list| list["changed"][0]["name"] == "a");
    let (_, html) = get(address, "/");
    let (_, rest) = html.split_once("<noscript>").unwrap();
    let (text, _) = rest.split_once("</noscript>").unwrap();
    for (named, path) in [
        ("traces/{trace id}", format!("/traces/{id}")),
        ("search?q={text}", "/search?q=a".to_owned()),
    ] {
        assert!(text.contains(named), "{text}");
        let (head, body) = get(address, &path);
        assert!(head.contains("content-type: application/json"), "{head}");
        json(&body);
    }
    assert!(text.contains("events (server-sent events"), "{text}");
}

/// Ends a span, and waits until the page has its trace.
fn record_and_wait(telemetry: &Telemetry, name: &'static str) {
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    tracer.start_with_context(name, &Context::new()).end();
    wait_for_event(telemetry.page().unwrap(), "traces", |list| {
        let changed = list["changed"].as_array().unwrap();
        changed.iter().any(|trace| trace["name"] == name)
    });
}

#[test]
fn spans_reach_the_page_while_a_collector_hangs() {
    // Connections are established, and nobody answers.
    let collector = TcpListener::bind(LOOPBACK).unwrap();
    let builder = builder()
        .endpoint(format!("http://{}", collector.local_addr().unwrap()))
        .protocol(Protocol::HttpProtobuf)
        .export_timeout(3 * TIMEOUT);
    let (telemetry, _) = builder.local::<Registry>().unwrap();
    for name in ["first", "second", "third"] {
        record_and_wait(&telemetry, name);
        assert_eq!(telemetry.dropped_spans().total(), 0, "{name}");
    }
    assert!(telemetry.shutdown(Duration::ZERO).is_err());
}

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

#[test]
fn a_strange_host_and_other_methods_are_refused() {
    let (_telemetry, address) = start();
    for path in ["/", "/events", "/search?q=a"] {
        let (head, _) = send(address, "GET", path, "evil.example");
        assert!(head.starts_with("http/1.1 403"), "{path}: {head}");
    }
    for method in ["POST", "PUT", "HEAD", "OPTIONS", "DELETE"] {
        let mut stream = connect(address);
        write!(
            stream,
            "{method} / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut head = String::new();
        BufReader::new(stream).read_line(&mut head).unwrap();
        assert!(head.starts_with("HTTP/1.1 405"), "{method}: {head}");
    }
}

#[test]
fn a_trace_is_on_the_page_with_its_attributes_and_is_found_by_text() {
    let (telemetry, address) = start();
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    let mut root = tracer.start_with_context("GET /orders", &Context::new());
    root.set_attribute(KeyValue::new("http.route", "</script>\"\n"));
    root.set_status(Status::error("no stock"));
    let id = root.span_context().trace_id().to_string();
    let context = Context::new().with_span(root);
    tracer.start_with_context("reserve", &context).end();
    context.span().end();
    let list = wait_for_event(address, "traces", |list| list["changed"][0]["spans"] == 2);
    let trace = &list["changed"][0];
    assert_eq!(
        (&trace["id"], &trace["name"]),
        (&id.as_str().into(), &"GET /orders".into())
    );
    assert_eq!(
        (&trace["failed"], &trace["route"]),
        (&true.into(), &"</script>\"\n".into())
    );

    let spans = json(&get(address, &format!("/traces/{id}")).1);
    let mut names: Vec<_> = spans["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| span["name"].to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["\"GET /orders\"", "\"reserve\""]);
    assert_eq!(
        json(&get(address, "/search?q=no%20STOCK").1),
        Value::from(vec![1])
    );
    assert_eq!(
        json(&get(address, "/search?q=nothing").1),
        Value::from(Vec::<u8>::new())
    );
    for id in ["0", "zz", "00000000000000000000000000000001"] {
        assert!(
            get(address, &format!("/traces/{id}"))
                .0
                .starts_with("http/1.1 404")
        );
    }
}

#[test]
fn the_overview_has_the_summary_and_the_counts_of_spans() {
    let (telemetry, address) = start();
    telemetry
        .tracer_provider()
        .unwrap()
        .tracer("")
        .start_with_context("a", &Context::new())
        .end();
    let overview = wait_for_event(address, "overview", |overview| {
        overview["status"]["spans"]["delivered"] == 1
    });
    assert_eq!(overview["service"], "shop");
    let summary = overview["status"]["summary"].as_str().unwrap();
    assert!(
        summary.ends_with(&format!("page at http://{address}")),
        "{summary}"
    );
    assert_eq!(telemetry.summary(), summary);
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
fn the_address_is_free_after_the_shutdown() {
    let (telemetry, address) = start();
    let mut open = connect(address);
    write!(open, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    open.read_exact(&mut [0; 8]).unwrap();
    telemetry.shutdown(TIMEOUT).unwrap();
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest);
    let started = Instant::now();
    while TcpListener::bind(address).is_err() {
        assert!(started.elapsed() < TIMEOUT);
        std::thread::yield_now();
    }
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let (_telemetry, address) = start();
    let error = Telemetry::builder("other")
        .page(address)
        .local::<Registry>()
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("TELEMETRY_PAGE") && error.contains(&address.to_string()),
        "{error}"
    );
}

#[test]
fn spans_of_another_process_are_part_of_the_trace() {
    let (page, address) = start();
    let (sibling, _) = Telemetry::builder("stock")
        .endpoint(format!("http://{address}"))
        .protocol(Protocol::HttpProtobuf)
        .sampler(Sampler::ratio(1.0))
        .local::<Registry>()
        .unwrap();
    let tracer = page.tracer_provider().unwrap().tracer("");
    let root = tracer.start_with_context("GET /orders", &Context::new());
    let id = root.span_context().trace_id().to_string();
    let context = Context::new().with_span(root);
    let parent = context.span().span_context().clone();
    let (trace, span, flags) = (parent.trace_id(), parent.span_id(), parent.trace_flags());
    let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    let remote = Context::new().with_remote_span_context(parent);
    let tracer = sibling.tracer_provider().unwrap().tracer("");
    let mut span = tracer.start_with_context("GET /items", &remote);
    span.set_attribute(KeyValue::new("sku", "lamp"));
    span.end();
    sibling.flush(TIMEOUT).unwrap();
    context.span().end();
    wait_for_event(address, "traces", |list| list["changed"][0]["spans"] == 2);
    let trace = json(&get(address, &format!("/traces/{id}")).1);
    let mut found: Vec<_> = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| {
            format!(
                "{} {} {} {}",
                span["service"], span["name"], span["remote"], span["attributes"]
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "\"shop\" \"GET /orders\" false []",
            "\"stock\" \"GET /items\" true [[\"sku\",\"lamp\"]]",
        ]
    );
    sibling.shutdown(TIMEOUT).unwrap();
}

/// Returns the status line and the body of the response to a request with spans.
fn post(address: SocketAddr, headers: &str, body: &[u8]) -> (String, String) {
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

#[test]
fn spans_from_web_pages_and_what_is_no_request_are_refused() {
    const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
    let (_telemetry, address) = start();
    for (headers, body, status) in [
        // Requests that a page of another site can send without a CORS preflight.
        ("content-type: text/plain\r\n", &b""[..], "415"),
        ("", b"", "415"),
        ("content-type: application/json\r\n", b"{}", "415"),
        (
            "content-type: application/x-protobuf\r\ncontent-encoding: gzip\r\n",
            b"",
            "415",
        ),
        (PROTOBUF, b"\xff\xff", "400"),
        (PROTOBUF, b"", "200"),
        (PROTOBUF, &vec![0; 5 << 20], "413"),
    ] {
        let (line, text) = post(address, headers, body);
        assert!(line.contains(status), "{headers}: {line} {text}");
    }
    for method in ["GET", "OPTIONS"] {
        let (head, _) = send(address, method, "/v1/traces", "localhost");
        assert!(
            head.starts_with("http/1.1 405") && head.contains("allow: post"),
            "{head}"
        );
        assert!(!head.contains("access-control-"), "{head}");
    }
    let (head, _) = send(address, "POST", "/v1/traces", "evil.example");
    assert!(head.starts_with("http/1.1 403"), "{head}");
}

/// Changes a setting. Returns the status line and the body of the response.
fn put(address: SocketAddr, path: &str, headers: &str, text: &str) -> (String, String) {
    let mut stream = connect(address);
    let length = text.len();
    write!(stream, "PUT {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{text}").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_page_changes_settings_and_no_page_of_a_stranger_does() {
    let (telemetry, address) = start();
    let origin = format!("origin: http://{address}\r\n");
    let (line, text) = put(address, "/control/sampling", &origin, "0.25");
    assert!(line.contains("200"), "{line} {text}");
    assert_eq!(
        telemetry.control().sampling(),
        "parentbased_traceidratio=0.25"
    );
    let overview = wait_for_event(address, "overview", |_| true);
    assert_eq!(
        overview["status"]["settings"]["sampling"],
        "parentbased_traceidratio=0.25"
    );
    for (path, headers, text, status) in [
        ("/control/sampling", "", "2", "400"),
        (
            "/control/sampling",
            "origin: http://evil.example\r\n",
            "1",
            "403",
        ),
        ("/control/other", "", "1", "404"),
        ("/sampling", "", "1", "405"),
    ] {
        let (line, answer) = put(address, path, headers, text);
        assert!(line.contains(status), "{path}: {line} {answer}");
    }
    assert_eq!(
        telemetry.control().sampling(),
        "parentbased_traceidratio=0.25"
    );
}

/// Returns the head of the response to a request with this value of `Sec-Fetch-Site`.
fn send_for(address: SocketAddr, site: &str, method: &str, path: &str) -> String {
    let mut stream = connect(address);
    let headers = "content-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close";
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: {site}\r\n{headers}\r\n\r\n"
    )
    .unwrap();
    let mut head = String::new();
    BufReader::new(stream).read_line(&mut head).unwrap();
    head
}

/// Such a page cannot read the response. But it could use all connections, and guess texts from the duration of searches.
#[test]
fn what_a_browser_sends_for_another_page_is_refused_except_for_the_files() {
    let (_telemetry, address) = start();
    for site in ["cross-site", "same-site", "other"] {
        for (method, path) in [
            ("GET", "/events"),
            ("GET", "/search?q=secret"),
            ("GET", "/traces/0af7651916cd43dd8448eb211c80319c"),
            ("GET", "/control/sampling"),
            ("PUT", "/control/sampling"),
            ("POST", "/v1/traces"),
            ("POST", "/"),
        ] {
            let head = send_for(address, site, method, path);
            assert!(head.starts_with("HTTP/1.1 403"), "{site} {path}: {head}");
        }
        // A link on another page may lead to this page.
        for path in ["/", "/page.js"] {
            let head = send_for(address, site, "GET", path);
            assert!(head.starts_with("HTTP/1.1 200"), "{site} {path}: {head}");
        }
    }
    for site in ["same-origin", "none"] {
        for (method, path) in [
            ("GET", "/search?q=secret"),
            ("GET", "/control/sampling"),
            ("POST", "/v1/traces"),
        ] {
            let head = send_for(address, site, method, path);
            assert!(head.starts_with("HTTP/1.1 200"), "{site} {path}: {head}");
        }
    }
}

#[test]
fn a_thousand_large_traces_and_a_browser_that_stalls_stay_within_the_bounds() {
    let (telemetry, address) = start();
    let mut stalled = connect(address);
    write!(stalled, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    let text = "x".repeat(4000);
    for trace in 0..1000 {
        let mut span = tracer.start_with_context("GET /a", &Context::new());
        for key in 0..15_i64 {
            span.set_attribute(KeyValue::new(format!("key.{key}"), text.clone()));
        }
        span.end();
        // Flushes, so that the queue does not drop spans.
        if trace % 100 == 0 {
            telemetry.flush(TIMEOUT).unwrap();
        }
    }
    telemetry.flush(TIMEOUT).unwrap();
    let overview = wait_for_event(address, "overview", |overview| {
        overview["ring"]["seen"] == 1000
    });
    let (traces, bytes) = (&overview["ring"]["traces"], &overview["ring"]["bytes"]);
    assert!(
        traces.as_u64().unwrap() <= 500 && bytes.as_u64().unwrap() <= 32 << 20,
        "{overview}"
    );
    assert!(bytes.as_u64().unwrap() > 20 << 20, "{overview}");
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
