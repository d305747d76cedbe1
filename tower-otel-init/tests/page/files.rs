//! The files and the address of the page.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Instant,
};

use opentelemetry::{
    Context,
    trace::{Span, Tracer, TracerProvider},
};
use tower_otel_init::Telemetry;
use tracing_subscriber::Registry;

use crate::client::{TIMEOUT, connect, get, json, start, wait_for_event};

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
