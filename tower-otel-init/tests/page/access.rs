//! Requests of strangers are refused.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
};

use crate::client::{connect, post, send, start};

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
