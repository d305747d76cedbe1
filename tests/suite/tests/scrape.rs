//! The metrics layer with the recorder of another crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use http_body_util::Empty;
use metrics::with_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use suite_tests::telemetry::sum;
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::MetricsLayer;

/// Polls a future until it is ready. It waits for no event: a scrape is pending only between its pieces.
fn ready_now<T>(future: impl Future<Output = T>) -> T {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return output;
        }
    }
}

#[test]
fn the_layer_records_with_the_recorder_of_metrics_exporter_prometheus() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    with_local_recorder(&recorder, || {
        let respond = |_| ready(Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new())));
        let mut service = MetricsLayer::server().layer(service_fn(respond));
        for _ in 0..3 {
            ready_now(service.call(Request::new(()))).unwrap();
        }
    });
    let text = handle.render();
    assert_eq!(sum(&text, "http_requests_total", &[]), 3.0, "{text}");
    let count = "http_request_duration_seconds_count";
    assert_eq!(sum(&text, count, &[]), 3.0, "{text}");
    assert_eq!(sum(&text, "http_requests_in_flight", &[]), 0.0, "{text}");
}
