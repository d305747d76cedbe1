//! Bucket boundaries of single routes, by both naming schemes.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    task::{Context, Waker},
};

use http::{Request, Response};
use http_body_util::Empty;
use metrics::with_local_recorder;
use suite_tests::telemetry::sum;
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names, Route};
use tower_otel_prometheus::Prometheus;

#[test]
fn a_route_has_a_bucket_at_its_objective() {
    for (names, metric, label, rendered) in [
        (
            Names::Short,
            "http_request_duration_seconds",
            "path",
            "path",
        ),
        (
            Names::Conventions,
            "http_server_request_duration_seconds",
            "http.route",
            "http_route",
        ),
    ] {
        let (recorder, prometheus) = Prometheus::builder()
            .series_buckets(metric, (label, "/search"), [0.3])
            .build()
            .unwrap();
        let route = |request: &dyn tower_otel_metrics::RequestHead| {
            Some(Route::from(request.target().path.to_owned()))
        };
        let layer = MetricsLayer::server().names(names).route(route);
        let respond = |_| ready(Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new())));
        let mut service = layer.layer(service_fn(respond));
        with_local_recorder(&recorder, || {
            for path in ["/search", "/users"] {
                let mut future = pin!(service.call(Request::get(path).body(()).unwrap()));
                let _ = future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
            }
        });
        let text = prometheus.render();
        let bucket = format!("{metric}_bucket");
        let count = |labels: &[(&str, &str)]| sum(&text, &bucket, labels);
        assert_eq!(
            count(&[(rendered, "/search"), ("le", "0.3")]),
            1.0,
            "{text}"
        );
        assert_eq!(count(&[("le", "0.3")]), 1.0, "{text}");
        assert_eq!(count(&[("le", "0.25")]), 2.0, "{text}");
        assert_eq!(count(&[("le", "0.5")]), 2.0, "{text}");
    }
}
