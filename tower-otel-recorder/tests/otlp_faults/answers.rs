//! Every span is delivered or counted, whatever the collector answers.

use std::time::{Duration, Instant, SystemTime};

use collector::faulty::{FaultyCollector, Reply};
use opentelemetry_sdk::error::OTelSdkError;
use tower_otel_recorder::Recorder;

use crate::{
    protocols::{Protocol, TIMEOUT, counts, over_both},
    support::{LONG, build, record},
};

/// The answers to the requests, the last one forever; exported, rejected and failed spans of 10; a part of the error.
const ANSWERS: &str = "
    accepts                                       => 10 0 0
    fails with 3/400                              => 0 0 10 from http://collector/
    fails with 14/503, fails with 10/502, accepts => 10 0 0
    fails with 14/504                             => 0 0 10 status
    asks to retry in 0 s, accepts                 => 10 0 0
    asks to retry in 1 s, accepts                 => 10 0 0
    asks to retry at the date now, accepts        => 10 0 0
    asks to retry with invalid details, accepts   => 10 0 0
    stalls                                        => 0 0 10 timed out
    answers garbage                               => 0 0 10 response is not
    trickles its answer                           => 0 0 10 timed out
    answers a megabyte                            => 0 0 10 larger than 65536 bytes
    rejects 3 with a secret                       => 7 3 0
    rejects 99                                    => 0 10 0
    rejects 0 with a secret                       => 10 0 0
    rejects -4                                    => 10 0 0
    accepts up to 0 bytes                         => 0 0 10 status
    accepts up to 300 bytes                       => 10 0 0
";

/// gRPC has no dates: its error has no delay. Its status comes after the body.
const ANSWERS_OVER_GRPC: &str = "
    breaks off, accepts                           => 10 0 0
    asks to retry at the date in an hour, accepts => 10 0 0
";

/// The status of HTTP comes first: after a success, nothing is sent again.
const ANSWERS_OVER_HTTP: &str = "
    breaks off, accepts                           => 0 0 10 breaks off
    asks to retry at the date in an hour, accepts => 0 0 10 longer than the timeout
";

fn reply(words: &str) -> Reply {
    let date_in = |seconds| {
        let date = SystemTime::now() + Duration::from_secs(seconds);
        Reply::Error(14, 429, Some(httpdate::fmt_http_date(date)))
    };
    let number = |text: &str| text.split(' ').next().unwrap().parse::<i64>().unwrap();
    match words {
        "accepts" => Reply::Accept,
        "asks to retry at the date now" => date_in(0),
        "asks to retry at the date in an hour" => date_in(3600),
        "asks to retry with invalid details" => Reply::InvalidDetails,
        "stalls" => Reply::Stall,
        "answers garbage" => Reply::Garbage,
        "trickles its answer" => Reply::Trickle,
        "answers a megabyte" => Reply::Huge,
        "breaks off" => Reply::BreakOff,
        words => {
            if let Some(codes) = words.strip_prefix("fails with ") {
                let (grpc, http) = codes.split_once('/').unwrap();
                Reply::Error(grpc.parse().unwrap(), http.parse().unwrap(), None)
            } else if let Some(delay) = words.strip_prefix("asks to retry in ") {
                Reply::RetryIn(number(delay) as u64)
            } else if let Some(bytes) = words.strip_prefix("accepts up to ") {
                Reply::Limit(number(bytes) as usize)
            } else {
                let rejected = words.strip_prefix("rejects ").unwrap();
                let message = match rejected.split_once(" with a ") {
                    Some((_, "secret")) => "see http://me:s3cret@host/",
                    _ => "",
                };
                Reply::Reject(number(rejected), message.to_owned())
            }
        }
    }
}

#[test]
fn every_span_is_delivered_or_counted_whatever_the_collector_answers() {
    over_both(|protocol, gzip| {
        let of_protocol = match protocol {
            Protocol::Grpc => ANSWERS_OVER_GRPC,
            Protocol::Http => ANSWERS_OVER_HTTP,
        };
        std::thread::scope(|scope| {
            let lines = ANSWERS.lines().chain(of_protocol.lines());
            for line in lines.filter(|line| !line.is_empty()) {
                scope.spawn(move || run(protocol, gzip, line.trim()));
            }
        });
    });
}

fn run(protocol: Protocol, gzip: bool, line: &str) {
    let (answers, expected) = line.split_once("=> ").unwrap();
    let replies: Vec<_> = answers.trim_end().split(", ").map(reply).collect();
    let mut expected = expected.splitn(4, ' ');
    let counted = [(); 3].map(|()| expected.next().unwrap().parse::<u64>().unwrap());
    let part = expected.next().unwrap_or_default();
    let last = replies.len() - 1;
    let collector = FaultyCollector::start(move |request| replies[request.min(last)].clone());
    let exporter = protocol.exporter(collector.address).gzip(gzip);
    let recorder = build(Recorder::builder(exporter));
    record(&recorder, 10);
    let started = Instant::now();
    let result = recorder.flush(LONG);
    let elapsed = started.elapsed();

    let [exported, rejected, failed, dropped] = counts(&recorder);
    let context = format!("{answers} over {protocol:?}, gzip {gzip}: {result:?} after {elapsed:?}");
    assert_eq!([exported, rejected, failed], counted, "{context}");
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
