//! `/metrics` behind the compression of tower-http, and the layer on the recorder of another crate.

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

use http::{
    Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Empty};
use metrics::with_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use suite_tests::telemetry::sum;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::compression::CompressionLayer;
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;

fn ready_now<T>(future: impl Future<Output = T>) -> T {
    let cx = &mut Context::from_waker(Waker::noop());
    match pin!(future).as_mut().poll(cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the service is always ready"),
    }
}

#[test]
fn a_scrape_is_compressed_by_the_layer_of_tower_http() {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        for n in 0..1_000 {
            metrics::histogram!("a_seconds", "n" => n.to_string()).record(n);
        }
    });
    let mut service = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .service(prometheus.service());
    let mut scrape = |encoding: &str| {
        let request = Request::get("/metrics")
            .header("accept", "application/openmetrics-text")
            .header("accept-encoding", encoding);
        ready_now(async {
            let response = service.call(request.body(()).unwrap()).await.unwrap();
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|_| "the body fails").unwrap();
            (head, body.to_bytes())
        })
    };
    let (plain_head, plain) = scrape("identity");
    let (head, compressed) = scrape("gzip");
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers[CONTENT_ENCODING], "gzip");
    assert_eq!(head.headers[CONTENT_TYPE], plain_head.headers[CONTENT_TYPE]);
    assert_eq!(&compressed[..2], [0x1f, 0x8b], "the magic bytes of gzip");
    // The last four bytes of gzip are the length of the data.
    let length = compressed
        .last_chunk::<4>()
        .map(|end| u32::from_le_bytes(*end));
    assert_eq!(length, u32::try_from(plain.len()).ok());
    assert!(compressed.len() * 10 < plain.len());
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
