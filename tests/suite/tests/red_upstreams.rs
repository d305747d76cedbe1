//! The division of the series limit among the upstreams of a client.

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
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
};

use http::{Request, Response, StatusCode, Version};
use http_body_util::Empty;
use metrics::with_local_recorder;
use suite_tests::telemetry::TestTelemetry;
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_prometheus::Prometheus;

/// Responds with the status and the header that the request names.
fn respond(request: Request<(u16, u16)>) -> Response<Empty<&'static [u8]>> {
    let (status, shard) = *request.body();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("x-shard", shard.into());
    response
}

fn call<S>(service: &mut S, host: &str, answer: (u16, u16), content_type: &str)
where
    S: Service<Request<(u16, u16)>, Error = Infallible>,
{
    let request = Request::post(format!("http://{host}/shop.Cart/Add"))
        .version(Version::HTTP_2)
        .header("content-type", content_type);
    let mut future = pin!(service.call(request.body(answer).unwrap()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(cx), Poll::Ready(Ok(_))));
}

#[test]
fn an_upstream_that_answers_every_status_code_leaves_series_for_others() {
    let telemetry = TestTelemetry::new();
    for names in [Names::Short, Names::Conventions] {
        let respond = |request| ready(Ok(respond(request)));
        let layer = MetricsLayer::client().names(names).series_limit(200);
        let mut service = layer.layer(service_fn(respond));
        for status in 100..1_000 {
            call(&mut service, "evil", (status, 0), "text/plain");
        }
        for host in ["good", "better"] {
            for status in [200, 404, 503] {
                call(&mut service, host, (status, 0), "text/plain");
            }
        }
        let count = |host: &str| {
            let label = match names {
                Names::Short => ("host", format!("{host}:80")),
                _ => ("server_address", host.to_owned()),
            };
            let name = "http_client_request_duration_seconds_count";
            telemetry.sum(name, &[(label.0, &label.1)])
        };
        assert_eq!((count("good"), count("better")), (3.0, 3.0));
        assert_eq!(count("evil"), 100.0);
        assert_eq!(telemetry.sum("http_client_requests_in_flight", &[]), 0.0);
    }
}

#[test]
fn an_upstream_of_grpc_calls_that_chooses_labels_leaves_series_for_others() {
    let telemetry = TestTelemetry::new();
    let respond = |request| ready(Ok(respond(request)));
    let shard = |response: &dyn tower_otel_metrics::ResponseHead| {
        let shard = response.headers().get("x-shard")?.to_str().ok()?;
        Some(shard.to_owned().into())
    };
    let layer = MetricsLayer::client()
        .grpc()
        .series_limit(200)
        .response_label("shard", shard);
    let mut service = layer.layer(service_fn(respond));
    for shard in 0..300 {
        call(&mut service, "evil", (200, shard), "application/grpc");
    }
    call(&mut service, "good", (404, 0), "application/grpc");
    let labels = [("host", "good:80"), ("status", "UNIMPLEMENTED")];
    let total = "grpc_client_requests_total";
    let metrics = telemetry.metrics();
    assert_eq!(telemetry.sum(total, &labels), 1.0, "{metrics}");
    assert_eq!(telemetry.sum(total, &[]), 301.0);
}

#[test]
fn a_burst_of_equal_answers_takes_one_series_of_an_upstream() {
    for content_type in ["text/plain", "application/grpc"] {
        for round in 0..100 {
            let (recorder, prometheus) = Prometheus::builder().build().unwrap();
            let layer = MetricsLayer::client().grpc().series_limit(10);
            let send = |status| {
                let respond = |request| ready(Ok(respond(request)));
                let mut service = layer.layer(service_fn(respond));
                with_local_recorder(&recorder, || {
                    call(&mut service, "only", (status, 0), content_type);
                });
            };
            let barrier = Barrier::new(8);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        barrier.wait();
                        send(200);
                    });
                }
            });
            for status in [401, 403, 404, 503] {
                send(status);
            }
            let metrics = prometheus.render();
            assert!(!metrics.contains("overflow"), "round {round}: {metrics}");
        }
    }
}
