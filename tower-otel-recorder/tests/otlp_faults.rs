//! A collector that misbehaves in any way: over gRPC and HTTP, every span is delivered or counted, in time.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use collector::faulty::{FaultyCollector, Reply};
use opentelemetry_sdk::error::OTelSdkError;
use tower_otel_recorder::{OtlpExporter, Recorder, SpanCounts};

use crate::support::{LONG, build, record, wait_until};

/// Longer than a few retries take.
const TIMEOUT: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    fn exporter(self, address: impl std::fmt::Display) -> OtlpExporter {
        let exporter = match self {
            Self::Grpc => OtlpExporter::grpc(format!("http://{address}")),
            Self::Http => OtlpExporter::http(format!("http://{address}/v1/traces")),
        };
        exporter.timeout(TIMEOUT)
    }
}

/// Runs a test over both protocols, plain and compressed, at the same time.
fn over_both(test: impl Fn(Protocol, bool) + Sync) {
    std::thread::scope(|scope| {
        for protocol in [Protocol::Grpc, Protocol::Http] {
            for gzip in [false, true] {
                scope.spawn({
                    let test = &test;
                    move || test(protocol, gzip)
                });
            }
        }
    });
}

fn counts(recorder: &Recorder) -> [u64; 4] {
    let SpanCounts {
        exported,
        rejected,
        failed,
        dropped,
        ..
    } = recorder.counts();
    [exported, rejected, failed, dropped]
}

/// A row: the answers to the requests, the last one forever; exported, rejected and failed spans of 10; a part of the error.
type Case = (&'static str, Vec<Reply>, [u64; 3], &'static str);

fn cases() -> Vec<Case> {
    use Reply::*;
    let error = |code, status| Error(code, status, None);
    let after = |value: String| Error(14, 429, Some(value));
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let hour = std::time::SystemTime::now() + Duration::from_secs(3600);
    let hour = httpdate::fmt_http_date(hour);
    let message = "see http://me:s3cret@host/";
    vec![
        ("accepts", vec![Accept], [10, 0, 0], ""),
        (
            "refuses",
            vec![error(3, 400)],
            [0, 0, 10],
            "from http://collector/",
        ),
        (
            "recovers",
            vec![error(14, 503), error(10, 502), Accept],
            [10, 0, 0],
            "",
        ),
        ("is unavailable", vec![error(14, 504)], [0, 0, 10], "status"),
        (
            "asks to retry now",
            vec![RetryIn(0), Accept],
            [10, 0, 0],
            "",
        ),
        (
            "asks to wait for a second",
            vec![RetryIn(1), Accept],
            [10, 0, 0],
            "",
        ),
        (
            "asks to wait until now",
            vec![after(now), Accept],
            [10, 0, 0],
            "",
        ),
        (
            "asks to wait without details",
            vec![InvalidDetails, Accept],
            [10, 0, 0],
            "",
        ),
        ("stalls", vec![Stall], [0, 0, 10], "timed out"),
        (
            "answers garbage",
            vec![Garbage],
            [0, 0, 10],
            "response is not",
        ),
        (
            "trickles its answer",
            vec![Trickle],
            [0, 0, 10],
            "timed out",
        ),
        (
            "answers a megabyte",
            vec![Huge],
            [0, 0, 10],
            "larger than 65536 bytes",
        ),
        (
            "breaks off",
            vec![BreakOff, Accept],
            [10, 0, 0],
            "BUT NOT OVER HTTP",
        ),
        (
            "rejects some",
            vec![Reject(3, message.to_owned())],
            [7, 3, 0],
            "",
        ),
        (
            "rejects more than it got",
            vec![Reject(99, String::new())],
            [0, 10, 0],
            "",
        ),
        ("warns", vec![Reject(0, message.to_owned())], [10, 0, 0], ""),
        (
            "rejects a negative number",
            vec![Reject(-4, String::new())],
            [10, 0, 0],
            "",
        ),
        (
            "accepts nothing at all",
            vec![Limit(0)],
            [0, 0, 10],
            "status",
        ),
        ("accepts small requests", vec![Limit(300)], [10, 0, 0], ""),
        (
            "asks to wait for an hour by date",
            vec![after(hour), Accept],
            [10, 0, 0],
            "OVER HTTP",
        ),
    ]
}

#[test]
fn every_span_is_delivered_or_counted_whatever_the_collector_answers() {
    over_both(|protocol, gzip| {
        std::thread::scope(|scope| {
            for case in cases() {
                scope.spawn(move || run(protocol, gzip, case));
            }
        });
    });
}

fn run(protocol: Protocol, gzip: bool, (name, replies, mut expected, mut part): Case) {
    // gRPC has no dates: its error has no delay.
    if part == "OVER HTTP" {
        part = "";
        if let Protocol::Http = protocol {
            (expected, part) = ([0, 0, 10], "longer than the timeout");
        }
    }
    // The status of HTTP comes first: after a success, nothing is sent again.
    if part == "BUT NOT OVER HTTP" {
        part = "";
        if let Protocol::Http = protocol {
            (expected, part) = ([0, 0, 10], "breaks off");
        }
    }
    let last = replies.len() - 1;
    let collector = FaultyCollector::start(move |request| replies[request.min(last)].clone());
    let exporter = protocol.exporter(collector.address).gzip(gzip);
    let recorder = build(Recorder::builder(exporter));
    record(&recorder, 10);
    let started = Instant::now();
    let result = recorder.flush(LONG);
    let elapsed = started.elapsed();

    let [exported, rejected, failed, dropped] = counts(&recorder);
    let context = format!("{name} over {protocol:?}, gzip {gzip}: {result:?} after {elapsed:?}");
    assert_eq!([exported, rejected, failed], expected, "{context}");
    assert_eq!(dropped, 0, "{context}");
    let accepted = collector.seen().accepted as u64;
    assert_eq!(accepted, exported, "{context}");
    assert!(elapsed < TIMEOUT + Duration::from_secs(5), "{context}");
    match result {
        Ok(()) => assert_eq!(failed, 0, "{context}"),
        Err(OTelSdkError::InternalFailure(error)) => {
            assert!(error.contains(part), "{context}");
            assert!(error.contains(&collector.address.to_string()), "{context}");
            assert!(!error.contains("s3cret"), "{context}");
        }
        Err(_) => panic!("{context}"),
    }
}

#[test]
fn a_collector_that_asks_for_an_hour_is_not_waited_for() {
    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|_| Reply::RetryIn(3600));
        let exporter = protocol.exporter(collector.address).gzip(gzip);
        let recorder = build(Recorder::builder(exporter.timeout(LONG)));
        record(&recorder, 10);
        let started = Instant::now();
        let error = recorder.flush(LONG).unwrap_err().to_string();
        assert!(started.elapsed() < LONG / 2, "{protocol:?}: {error}");
        assert!(error.contains("longer than the timeout"), "{error}");
        assert_eq!(counts(&recorder), [0, 0, 10, 0]);
        assert_eq!(collector.seen().requests, 1);
    });
}

#[test]
fn a_redirect_is_a_failure_and_headers_are_not_sent_elsewhere() {
    over_both(|protocol, gzip| {
        let other = FaultyCollector::start(|_| Reply::Accept);
        let to = format!("http://{}/v1/traces", other.address);
        let collector = FaultyCollector::start(move |_| Reply::Redirect(to.clone()));
        let exporter = protocol.exporter(collector.address).gzip(gzip);
        let exporter = exporter.header("authorization", "Bearer s3cret");
        let recorder = build(Recorder::builder(exporter));
        record(&recorder, 10);
        assert!(recorder.flush(LONG).is_err());
        assert_eq!(counts(&recorder), [0, 0, 10, 0]);
        assert_eq!(collector.headers()["authorization"], "Bearer s3cret");
        assert_eq!(other.seen().requests, 0);
    });
}

#[test]
fn a_shutdown_does_not_wait_for_retries_longer_than_its_timeout() {
    let replies = [
        Reply::Stall,
        Reply::Error(14, 503, None),
        Reply::RetryIn(15),
    ];
    for reply in replies {
        over_both(|protocol, gzip| {
            let reply = reply.clone();
            let collector = FaultyCollector::start(move |_| reply.clone());
            let exporter = protocol.exporter(collector.address).gzip(gzip);
            let recorder = build(Recorder::builder(exporter.timeout(LONG)).batch_size(10));
            record(&recorder, 10);
            wait_until("a request", || collector.seen().requests > 0);
            let started = Instant::now();
            let result = recorder.shutdown(Duration::from_millis(300));
            assert!(result.is_err(), "{protocol:?}");
            assert!(started.elapsed() < LONG / 4, "{:?}", started.elapsed());
            assert_eq!(counts(&recorder), [0, 0, 10, 0]);
        });
    }
}

#[test]
fn a_collector_that_is_replaced_gets_what_the_first_one_did_not() {
    over_both(|protocol, gzip| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let exporter = protocol.exporter(address).gzip(gzip).timeout(LONG);
        // A full batch is exported without a flush, which would not wait for a collector.
        let recorder = build(Recorder::builder(exporter).batch_size(10));
        record(&recorder, 10);
        // Nobody listens yet, or another process does.
        let first = FaultyCollector::start_at(address, |_| Reply::Stall);
        wait_until("a request", || first.seen().requests > 0);
        drop(first);
        let second = FaultyCollector::start_at(address, |_| Reply::Accept);
        wait_until("the export", || counts(&recorder) == [10, 0, 0, 0]);
        assert_eq!(second.seen().accepted, 10);
    });
}

#[test]
fn a_flush_and_a_shutdown_do_not_wait_for_a_collector_that_refuses_connections() {
    over_both(|protocol, gzip| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let exporter = protocol.exporter(address).gzip(gzip).timeout(LONG);
        let recorder = build(Recorder::builder(exporter).batch_size(10));
        // Several batches, of which one waits for its next attempt.
        record(&recorder, 25);
        wait_until("an export", || recorder.counts().exporting > 0);
        for stop in [Recorder::flush, Recorder::shutdown] {
            let started = Instant::now();
            let error = stop(&recorder, LONG).unwrap_err().to_string();
            assert!(started.elapsed() < Duration::from_secs(1), "{error}");
            assert!(error.contains("refused"), "{error}");
            // Nothing is recorded after the shutdown.
            record(&recorder, 5);
        }
        assert_eq!(counts(&recorder), [0, 0, 30, 0]);
    });
}

#[test]
fn a_resource_of_a_megabyte_and_long_spans_are_sent_in_requests_of_less_than_four() {
    use opentelemetry::{
        KeyValue,
        trace::{Span, Tracer, TracerProvider},
    };
    use opentelemetry_sdk::Resource;

    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|_| Reply::Limit(4 * 1024 * 1024));
        let exporter = protocol
            .exporter(collector.address)
            .gzip(gzip)
            .timeout(LONG);
        let long = KeyValue::new("long", "x".repeat(1 << 20));
        let resource = Resource::builder_empty().with_attribute(long).build();
        let builder = Recorder::builder(exporter).resource(resource);
        let builder = builder.text_length(usize::MAX).record_bytes(usize::MAX);
        let recorder = build(builder.batch_bytes(usize::MAX));
        let tracer = recorder.tracer_provider().tracer("test");
        for size in [10, 500_000, 1_000_000, 2_000_000, 3_500_000, 100] {
            let mut span = tracer.span_builder("long").start(&tracer);
            span.set_attribute(KeyValue::new("text", "y".repeat(size)));
            span.end();
        }
        let result = recorder.flush(LONG);
        // One span and the resource are more than the limit.
        assert!(result.is_err());
        assert_eq!(counts(&recorder), [5, 0, 1, 0]);
        let seen = collector.seen();
        assert_eq!(seen.accepted, 5);
        assert!((4..=6).contains(&seen.requests), "{seen:?}");
    });
}

#[test]
fn a_collector_that_refuses_every_size_gets_few_requests_and_its_reason_is_returned() {
    for reply in [Reply::Limit(0), Reply::Error(8, 413, None)] {
        over_both(|protocol, gzip| {
            let reply = reply.clone();
            let collector = FaultyCollector::start(move |_| reply.clone());
            let exporter = protocol.exporter(collector.address).gzip(gzip);
            let recorder = build(Recorder::builder(exporter.timeout(LONG)).batch_size(1024));
            record(&recorder, 512);
            let error = recorder.flush(LONG).unwrap_err().to_string();
            assert!(error.contains("status"), "{error}");
            assert!(!error.contains("single span"), "{error}");
            assert_eq!(counts(&recorder), [0, 0, 512, 0]);
            // Ten until a single span is refused, and one for its neighbor.
            assert_eq!(collector.seen().requests, 11, "{protocol:?}");
        });
    }
}

#[test]
fn a_collector_that_accepts_one_request_and_refuses_the_others_gets_a_bounded_number() {
    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|request| match request {
            10 => Reply::Accept,
            _ => Reply::Error(8, 413, None),
        });
        let exporter = protocol.exporter(collector.address).gzip(gzip);
        let recorder = build(Recorder::builder(exporter.timeout(LONG)).batch_size(1024));
        record(&recorder, 512);
        assert!(recorder.flush(LONG).is_err());
        assert_eq!(counts(&recorder), [1, 0, 511, 0]);
        assert_eq!(collector.seen().requests, 65, "{protocol:?}");
    });
}

#[test]
fn a_collector_that_repeats_the_credentials_does_not_put_them_in_an_error() {
    let text = |secret: &str| format!("{} the token {secret} is unknown", "x".repeat(240));
    for text in [text("s3cret-t0ken"), text("Bearer s3cret-t0ken")] {
        over_both(|protocol, gzip| {
            let text = text.clone();
            let collector = FaultyCollector::start(move |_| Reply::Refuse(text.clone()));
            let exporter = protocol.exporter(collector.address).gzip(gzip);
            let exporter = exporter.header("authorization", "Bearer s3cret-t0ken");
            let recorder = build(Recorder::builder(exporter));
            record(&recorder, 1);
            let error = recorder.flush(LONG).unwrap_err().to_string();
            assert!(error.contains("the token"), "{error}");
            assert!(!error.contains("s3c"), "{error}");
        });
    }
}

#[test]
fn a_batch_that_was_answered_with_success_is_not_sent_again() {
    // Over gRPC the status comes after the body.
    let collector = FaultyCollector::start(|_| Reply::BreakOff);
    let exporter = Protocol::Http.exporter(collector.address);
    let recorder = build(Recorder::builder(exporter));
    record(&recorder, 10);
    assert!(recorder.flush(LONG).is_err());
    assert_eq!(counts(&recorder), [0, 0, 10, 0]);
    assert_eq!(collector.seen().requests, 1);
}

#[test]
fn spans_that_are_rejected_in_json_are_counted() {
    let json = r#"{"partialSuccess":{"rejectedSpans":"3"}}"#;
    let collector = FaultyCollector::start(move |_| Reply::Json(json));
    let recorder = build(Recorder::builder(
        Protocol::Http.exporter(collector.address),
    ));
    record(&recorder, 10);
    recorder.flush(LONG).unwrap();
    assert_eq!(counts(&recorder), [7, 3, 0, 0]);
}

#[test]
fn user_and_password_of_an_endpoint_are_sent_as_a_header() {
    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|_| Reply::Accept);
        let address = format!("me:s3%20cret@{}", collector.address);
        let exporter = protocol.exporter(address).gzip(gzip);
        let recorder = build(Recorder::builder(exporter));
        record(&recorder, 1);
        recorder.flush(LONG).unwrap();
        let headers = collector.headers();
        assert_eq!(
            headers["authorization"], "Basic bWU6czMgY3JldA==",
            "{protocol:?}"
        );
        let shown = format!("{headers:?}");
        assert!(!shown.contains("cret"), "{shown}");
    });
}
