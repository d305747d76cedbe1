//! Failing and slow requests are kept, and no others.

use std::{collections::BTreeSet, time::Instant};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};
use suite_tests::{otlp::attribute, server::send_raw};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_otel_recorder::Keep;

use crate::setup::{BACKENDS, Backend, SLOW, Setup, assert_whole, exemplars, send, trace_ids};

#[tokio::test]
async fn all_failing_and_slow_requests_and_no_others_arrive() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors().slower_than(SLOW)).await;
        let to = setup.serve().await;
        let mut named = BTreeSet::new();
        let sent = async {
            tokio::join!(
                send(to, "good", 1_000),
                send(to, "fails", 37),
                send(to, "slow", 5)
            )
        };
        // After each scrape the next kept trace of a bucket is its exemplar.
        let scrapes = async {
            loop {
                named.extend(exemplars(to).await);
            }
        };
        tokio::select! {
            _ = sent => {}
            () = scrapes => {}
        }
        named.extend(exemplars(to).await);
        let traces = setup.traces().await;
        assert_eq!(traces.len(), 42, "{backend:?}");
        let received = trace_ids(&traces);
        let missing: Vec<_> = named.difference(&received).collect();
        assert!(missing.is_empty(), "{backend:?}: {missing:?}");
        for why in ["error", "slow"] {
            let of_reason = |trace: &&Vec<Span>| assert_whole(trace) == why;
            let kept = trace_ids(traces.iter().filter(of_reason));
            assert!(
                !named.is_disjoint(&kept),
                "{backend:?}: no exemplar of {why}"
            );
        }
        let mut reasons: Vec<_> = traces.iter().map(|trace| assert_whole(trace)).collect();
        reasons.sort_unstable();
        assert!(reasons[..37].iter().all(|reason| reason == "error"));
        assert!(reasons[37..].iter().all(|reason| reason == "slow"));
        let counts = setup.recorder.counts();
        assert_eq!((counts.started, counts.exported), (3 * 42, 3 * 42));
        assert_eq!((counts.not_held, counts.keep_limited), (0, 0));
    }
}

#[tokio::test]
async fn a_flood_of_failures_keeps_the_limit_of_each_second_and_counts_the_rest() {
    let setup = Setup::new(Backend::Records, Keep::errors().per_second(10)).await;
    let to = setup.serve().await;
    let started = Instant::now();
    send(to, "fails", 1_000).await;
    let seconds = started.elapsed().as_secs_f64();
    let traces = setup.traces().await;
    for trace in &traces {
        assert_whole(trace);
    }
    let kept = traces.len();
    assert!(kept >= 10, "{kept}");
    assert!(
        kept as f64 <= 10.0 * (seconds + 1.0),
        "{kept} in {seconds} s"
    );
    let named = exemplars(to).await;
    assert!(!named.is_empty() && named.is_subset(&trace_ids(&traces)));
    let limited = usize::try_from(setup.recorder.counts().keep_limited).unwrap();
    assert_eq!(limited, 3 * (1_000 - kept));
}

#[tokio::test]
async fn a_request_that_ends_in_another_way_than_its_response_is_kept() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors()).await;
        let to = setup.serve().await;
        for (number, action) in ["panics", "pending", "endless", "body-fails", "marked"]
            .into_iter()
            .enumerate()
        {
            let request = format!("GET /{action} HTTP/1.1\nhost: shop");
            if action == "pending" {
                // The client disconnects before the response.
                let mut stream = TcpStream::connect(to).await.unwrap();
                let request = format!("{}\r\n\r\n", request.replace('\n', "\r\n"));
                stream.write_all(request.as_bytes()).await.unwrap();
            } else {
                let (_, mut stream) = send_raw(to, &request).await;
                if action != "endless" {
                    let mut body = [0; 64];
                    // The connection of a failing body is closed.
                    _ = stream.read(&mut body).await;
                }
            }
            let traces = setup.wait_for(number + 1).await;
            assert_eq!(traces.len(), number + 1, "{backend:?} {action}");
            let (named, received) = (exemplars(to).await, trace_ids(&traces));
            assert!(!named.is_empty(), "{backend:?} {action}");
            assert!(
                named.is_subset(&received),
                "{backend:?} {action}: {named:?}"
            );
        }
        let mut ends: Vec<_> = setup
            .traces()
            .await
            .iter()
            .map(|trace| {
                let why = assert_whole(trace);
                let root = trace
                    .iter()
                    .find(|span| span.name == "GET /{action}")
                    .unwrap();
                match attribute(root, "error.type") {
                    Some(Value::StringValue(error)) => format!("{why} {error}"),
                    _ => why,
                }
            })
            .collect();
        ends.sort_unstable();
        let expected = [
            "error aborted",
            "error cancelled",
            "error panic",
            "error timeout",
            "marked",
        ];
        assert_eq!(ends, expected, "{backend:?}");
    }
}
