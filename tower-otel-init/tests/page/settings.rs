//! The page changes settings.

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use crate::client::{connect, start, wait_for_event};

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
