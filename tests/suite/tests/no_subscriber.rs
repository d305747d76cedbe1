//! A layer that opens `tracing` spans in a process without a subscriber.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use http::Request;
use suite_tests::in_process::{exchange, hello};
use tower::{Layer, service_fn};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

/// Sends requests in a process without a subscriber, until its standard input is closed.
#[test]
#[ignore = "runs in a process started by the other test"]
fn service() {
    if std::env::var_os("WITHOUT_SUBSCRIBER").is_none() {
        return;
    }
    // A temporary subscriber, such as that of an exporter on its thread, records no span of this request.
    let disabled = tracing_subscriber::registry().with(LevelFilter::OFF);
    drop(tracing::subscriber::set_default(disabled));
    let mut service = TraceLayer::server().layer(service_fn(hello));
    for _ in 0..3 {
        exchange(&mut service, Request::new(()));
    }
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn the_first_request_without_a_subscriber_says_once_that_no_span_is_recorded() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["service", "--exact", "--ignored", "--nocapture", "-q"])
        .env("WITHOUT_SUBSCRIBER", "1")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let is_message = |line: &String| line.contains("no `tracing` subscriber is installed");
    let found = lines
        .by_ref()
        .map(Result::unwrap)
        .any(|line| is_message(&line));
    assert!(found);
    drop(child.stdin.take());
    let repeated = lines.map(Result::unwrap).filter(is_message).count();
    assert_eq!(repeated, 0);
    assert!(child.wait().unwrap().success());
}
