//! The files and the address of the page.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Instant,
};

use tower_otel_init::Telemetry;
use tracing_subscriber::Registry;

use crate::client::{TIMEOUT, connect, get, start};

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
