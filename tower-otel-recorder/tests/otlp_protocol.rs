//! An endpoint that speaks the other protocol: the error says which variable to set.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use collector::{
    Collector,
    faulty::{FaultyCollector, Reply},
};
use tower_otel_recorder::{OtlpExporter, Recorder};

use crate::support::{LONG, build, record};

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_PROTOCOL=";

/// Answers each connection with these bytes, whatever it gets, and closes it.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 24];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
        }
    });
    address
}

fn grpc(address: SocketAddr) -> OtlpExporter {
    OtlpExporter::grpc(format!("http://{address}"))
}

fn http(address: SocketAddr) -> OtlpExporter {
    OtlpExporter::http(format!("http://{address}/v1/traces"))
}

/// Exports a span, and returns the error.
fn error(exporter: OtlpExporter) -> String {
    let recorder = build(Recorder::builder(exporter.timeout(Duration::from_secs(2))));
    record(&recorder, 1);
    recorder.flush(LONG).unwrap_err().to_string()
}

#[test]
fn the_error_of_grpc_to_an_endpoint_of_http_names_the_variable_once() {
    let bad_request = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let with_http_2 = FaultyCollector::start(|_| Reply::Redirect("/".to_owned()));
    for address in [server(bad_request), server(b""), with_http_2.address] {
        let error = error(grpc(address));
        let hint = format!("{VARIABLE}http/protobuf");
        assert_eq!(error.matches(&hint).count(), 1, "{error}");
    }
}

#[test]
fn the_error_of_http_to_an_endpoint_of_grpc_names_the_variable_once() {
    // An empty frame of HTTP/2 with settings.
    let settings = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let collector = Collector::grpc();
    for address in [server(settings), server(b""), collector.address] {
        let error = error(http(address));
        assert_eq!(
            error.matches(&format!("{VARIABLE}grpc")).count(),
            1,
            "{error}"
        );
    }
}

#[test]
fn a_response_of_grpc_over_http_1_is_not_taken_for_a_success() {
    let status = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 12\r\ncontent-length: 0\r\n\r\n";
    let error = error(http(server(status)));
    assert!(error.contains(&format!("{VARIABLE}grpc")), "{error}");
}

#[test]
fn the_error_of_an_endpoint_that_refuses_spans_or_connections_names_no_variable() {
    let refusing = FaultyCollector::start(|_| Reply::Refuse("too old".to_owned()));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let unreachable = free.local_addr().unwrap();
    drop(free);
    for address in [refusing.address, unreachable] {
        for exporter in [grpc(address), http(address)] {
            let error = error(exporter);
            assert!(!error.contains(VARIABLE), "{error}");
        }
    }
}

#[test]
fn the_error_of_an_endpoint_that_has_answered_by_its_protocol_names_no_variable() {
    let replies = |request| match request {
        0 => Reply::Accept,
        _ => Reply::BreakOff,
    };
    let collector = FaultyCollector::start(replies);
    let recorder = build(Recorder::builder(
        grpc(collector.address).timeout(Duration::from_secs(2)),
    ));
    record(&recorder, 1);
    recorder.flush(LONG).unwrap();
    record(&recorder, 1);
    let error = recorder.flush(LONG).unwrap_err().to_string();
    assert!(!error.contains(VARIABLE), "{error}");
}
