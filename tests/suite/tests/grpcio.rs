//! A server whose client is grpcio, from PyPI: counter, histogram and span have the status that grpcio reports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, process::Command};

use suite_tests::{
    grpc_metrics::GrpcPair,
    telemetry::{text, with_timeout},
};

/// The number of calls by method and status.
type Calls = BTreeMap<(String, String), usize>;

/// Counts the calls that grpcio reports, by the method that a server records.
fn seen_by_grpcio(output: &str) -> Calls {
    let mut calls = Calls::new();
    for line in output.lines() {
        let (method, status) = line.split_once(' ').unwrap();
        let method = match status {
            "UNIMPLEMENTED" => "_OTHER",
            _ => method,
        };
        *calls.entry((method.into(), status.into())).or_default() += 1;
    }
    calls
}

/// Needs a Python with grpcio: `.ci/run tests_with_grpcio`, or
///
/// ```text
/// python3 -m venv target/grpcio && target/grpcio/bin/pip install grpcio
/// GRPCIO_PYTHON=$PWD/target/grpcio/bin/python cargo test -p suite-tests --test grpcio -- --ignored
/// ```
#[tokio::test]
#[ignore = "needs grpcio; the comment has the command"]
async fn a_server_records_the_statuses_that_grpcio_sees() {
    let pair = GrpcPair::start().await;
    let target = pair.address.to_string();
    let python = std::env::var("GRPCIO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let calls = tokio::task::spawn_blocking(move || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/grpcio_calls.py");
        Command::new(python).args([script, &target]).output()
    });
    let output = with_timeout("grpcio calls", calls).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let seen = seen_by_grpcio(&String::from_utf8_lossy(&output.stdout));
    let total: usize = seen.values().sum();
    assert_eq!(total, 4 * 17 + 5, "{seen:#?}");

    let telemetry = &pair.telemetry;
    telemetry
        .wait_until("all calls end", |telemetry| {
            telemetry.spans().len() == total
        })
        .await;
    let mut in_spans = Calls::new();
    for span in telemetry.spans() {
        let method = text(&span, "rpc.method").unwrap();
        let status = text(&span, "rpc.status_code").unwrap();
        *in_spans.entry((method, status)).or_default() += 1;
    }
    assert_eq!(in_spans, seen);
    for ((method, status), count) in &seen {
        let count = *count as f64;
        let labels = [("method", &**method), ("status", &**status)];
        let counter = telemetry.sum("grpc_requests_total", &labels);
        assert_eq!(counter, count, "{labels:?}");
        let histogram = "conventions_rpc_server_call_duration_seconds_count";
        let labels = [("rpc_method", &**method), ("rpc_status_code", &**status)];
        assert_eq!(telemetry.sum(histogram, &labels), count, "{labels:?}");
    }
    assert_eq!(telemetry.sum("grpc_requests_total", &[]), total as f64);
    assert_eq!(telemetry.sum("grpc_requests_in_flight", &[]), 0.0);
    assert!(!telemetry.metrics().contains("http_"));
}
