//! Runs a program with the variables of each destination, and a receiver in its place.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    future::IntoFuture,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    http::{HeaderMap, Uri},
};
use support::Program;
use tokio::net::TcpListener;

const PAGE: &str = include_str!("../destinations.md");

/// The variables in the commands below a heading.
fn variables(heading: &str) -> Vec<(&str, &str)> {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .unwrap();
    let exports = section
        .lines()
        .filter_map(|line| line.strip_prefix("export "));
    exports
        .map(|export| export.split_once('=').unwrap())
        .collect()
}

type Requests = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// Records path and headers of the export of a program with these variables, whose host is replaced.
async fn export(heading: &str) -> (String, HeaderMap) {
    let requests = Requests::default();
    let received = Arc::clone(&requests);
    let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap| async move {
        received
            .lock()
            .unwrap()
            .push((uri.path().to_owned(), headers));
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());

    let mut variables = variables(heading);
    let endpoint = variables
        .iter_mut()
        .find(|(name, _)| *name == "OTEL_EXPORTER_OTLP_ENDPOINT");
    let endpoint = &mut endpoint.unwrap().1;
    let (_, target) = endpoint.split_once("://").unwrap();
    let path = target.find('/').map_or("", |slash| &target[slash..]);
    let there = format!("{here}{path}");
    *endpoint = &there;
    let program = Program::serve_with(env!("CARGO_BIN_EXE_start"), &[], &variables);
    program.text("/users/7").await;
    program.stop();
    let mut requests = requests.lock().unwrap();
    assert!(!requests.is_empty(), "{heading}: no export");
    requests.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_sent_to_the_path_and_with_the_header_of_each_vendor() {
    let (path, headers) = export("Grafana Cloud").await;
    assert_eq!(path, "/otlp/v1/traces");
    assert_eq!(headers["authorization"], "Basic MTIzNDU2OnRva2Vu");

    let (path, headers) = export("Honeycomb").await;
    assert_eq!(path, "/v1/traces");
    assert_eq!(headers["x-honeycomb-team"], "API-KEY");
}

#[tokio::test]
async fn the_variables_for_jaeger_are_those_of_a_collector_over_grpc() {
    let collector = collector::Collector::grpc();
    let endpoint = collector.endpoint();
    let mut variables = variables("Jaeger");
    assert!(variables.contains(&("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")));
    variables.push(("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint));
    variables.push(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"));
    let program = Program::serve_with(env!("CARGO_BIN_EXE_start"), &[], &variables);
    program.text("/users/7").await;
    program.stop();
    assert_eq!(collector.spans(), 1);
}
