//! No output of an exchange has a secret.

use suite_tests::backend::Backend;
use tokio::net::TcpSocket;
use tower::{Layer, ServiceExt};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    exchange::{
        End, HEADER, LABEL, MEMBER, MESSAGE, QUERY, SECRET, STATE, backends_and_ends, exchange,
        with_all_options,
    },
    outputs::{Recording, find},
};

#[test]
fn secrets_of_requests_and_responses_are_not_recorded_or_forwarded() {
    for (backend, end) in backends_and_ends() {
        let outputs = exchange(backend, end, |layer| layer);
        for (channel, bytes) in outputs.channels() {
            let found = find(bytes, SECRET);
            assert_eq!(found, None, "{channel}: {end:?} by {backend:?}");
        }
        let members = find(&outputs.external, MEMBER);
        assert_eq!(members, None, "{end:?} by {backend:?}");
    }
}

#[test]
fn allowed_values_are_found_in_every_searched_output() {
    for (backend, end) in backends_and_ends() {
        let outputs = exchange(backend, end, |layer| layer);
        let is_in = |bytes: &[u8], text| {
            assert!(
                find(bytes, text).is_some(),
                "{text}: {end:?} by {backend:?}"
            );
        };
        is_in(&outputs.spans, HEADER);
        is_in(&outputs.meter, LABEL);
        is_in(&outputs.scrape, LABEL);
        is_in(&outputs.log, "handling");
        is_in(&outputs.internal, MEMBER);
        is_in(&outputs.internal, STATE);
        is_in(&outputs.external, STATE);
        if end != End::GrpcError {
            is_in(&outputs.spans, QUERY);
            if backend.opens_tracing_spans() {
                is_in(&outputs.log, QUERY);
            }
        }
    }
}

#[test]
fn error_messages_are_recorded_only_by_option() {
    for backend in Backend::ALL {
        for end in [End::Failed, End::BodyFailed] {
            let outputs = exchange(backend, end, TraceLayer::exceptions);
            let found = find(&outputs.log, MESSAGE).is_some();
            assert!(found, "{end:?} by {backend:?}");
            let found = find(&outputs.spans, MESSAGE).is_some();
            assert_eq!(
                found,
                backend.opens_tracing_spans(),
                "{end:?} by {backend:?}"
            );
            let outputs = exchange(backend, end, |layer| layer);
            for (channel, bytes) in outputs.channels() {
                let found = find(bytes, MESSAGE);
                assert_eq!(found, None, "{channel}: {end:?} by {backend:?}");
            }
        }
    }
}

#[test]
fn panic_messages_are_never_recorded() {
    for backend in Backend::ALL {
        let outputs = exchange(backend, End::Panicked, TraceLayer::exceptions);
        for (channel, bytes) in outputs.channels() {
            assert_eq!(find(bytes, SECRET), None, "{channel} by {backend:?}");
        }
    }
}

#[tokio::test]
async fn the_url_in_a_connection_error_is_not_recorded() {
    // A bound socket that does not listen refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    for backend in Backend::ALL {
        let recording = Recording::new(backend);
        let trace = with_all_options(TraceLayer::client(), End::Failed);
        let trace = backend.layer_below_subscriber(&recording.source, trace);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = observe((trace, recording.metrics_layer(MetricsLayer::client))).layer(client);
        let url = format!("http://{address}/c?sig=c4n4ry-sig&page={QUERY}");
        let request = reqwest::Request::new(http::Method::GET, url.parse().unwrap());
        let error = client.oneshot(request).await.unwrap_err();
        assert!(error.to_string().contains(SECRET), "{error}");
        let outputs = recording.outputs(1, Vec::new(), Vec::new());
        for (channel, bytes) in outputs.channels() {
            assert_eq!(find(bytes, SECRET), None, "{channel} by {backend:?}");
        }
        assert!(find(&outputs.spans, QUERY).is_some(), "{backend:?}");
    }
}
