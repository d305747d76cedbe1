//! Credentials are sent to the collector only, and shown nowhere.

use collector::faulty::{FaultyCollector, Reply};
use tower_otel_recorder::Recorder;

use crate::{
    protocols::{counts, over_both},
    support::{LONG, build, record},
};

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
