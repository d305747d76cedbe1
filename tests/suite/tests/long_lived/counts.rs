//! Open streams are counted by clients, meters and calls of gRPC.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::{BodyExt, Empty};
use opentelemetry::trace::Status;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use suite_tests::{
    backend::Backend,
    net::{Http, ScriptedBody, Step, pooled_client},
    telemetry::{TestTelemetry, text, with_convention_names},
};
use tokio::sync::oneshot;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::{LongLived, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    server::serve,
    streams::{End, Mark, stream},
};

#[tokio::test]
async fn a_client_counts_the_event_streams_that_it_receives() {
    let telemetry = TestTelemetry::new();
    let (_proceed, signal) = oneshot::channel();
    let steps = [Step::Data("data: 1\n\n"), Step::WaitFor(signal)];
    let body = Arc::new(Mutex::new(Some(ScriptedBody::new(steps))));
    let state = (Mark::EventStream, End::ClientLeaves, body);
    let server = serve(Router::new().route("/", get(stream)).with_state(state)).await;
    let metrics = MetricsLayer::client();
    let client = ServiceBuilder::new()
        .layer(observe((metrics.clone(), with_convention_names(metrics))))
        .service(pooled_client(Http::One));
    let request = http::Request::get(format!("http://{}/", server.address));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let mut response = client.oneshot(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    let open = || {
        [
            telemetry.sum("http_client_streams_open", &[]),
            telemetry.sum("conventions_http_client_open_streams", &[]),
        ]
    };
    assert_eq!(open(), [1.0, 1.0]);
    drop(response);
    assert_eq!(open(), [0.0, 0.0]);
}

/// Returns the values of the gauge of open streams in a meter.
fn streams(exporter: &InMemoryMetricExporter, name: &str) -> Vec<i64> {
    let finished = exporter.get_finished_metrics().unwrap();
    let scopes = finished.last().unwrap().scope_metrics();
    let metrics = scopes.flat_map(|scope| scope.metrics());
    let named = metrics.filter(|metric| metric.name() == name);
    let values = named.map(|metric| match metric.data() {
        AggregatedMetrics::I64(MetricData::Sum(sum)) if metric.unit() == "{stream}" => {
            sum.data_points().map(|point| point.value()).sum()
        }
        other => panic!("unexpected {other:?}"),
    });
    values.collect()
}

#[tokio::test]
async fn a_meter_counts_open_streams_too() {
    for (names, name) in [
        (tower_otel_metrics::Names::Short, "http_streams_open"),
        (
            tower_otel_metrics::Names::Conventions,
            "http.server.open_streams",
        ),
    ] {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        let layer = MetricsLayer::server()
            .names(names)
            .meter_provider(&provider);
        let respond = tower::service_fn(|_: http::Request<()>| async {
            let response = http::Response::builder().header("content-type", "text/event-stream");
            let body = ScriptedBody::new([Step::Pending]);
            Ok::<_, std::convert::Infallible>(response.body(body).unwrap())
        });
        let service = ServiceBuilder::new().layer(layer).service(respond);
        let response = service.oneshot(http::Request::new(())).await.unwrap();
        provider.force_flush().unwrap();
        assert_eq!(streams(&exporter, name), [1]);
        drop(response);
        provider.force_flush().unwrap();
        assert_eq!(streams(&exporter, name), [0]);
    }
}

#[tokio::test]
async fn a_grpc_stream_that_is_marked_is_counted_as_open_and_its_duration_is_that_of_the_head() {
    for is_marked in [true, false] {
        let telemetry = TestTelemetry::new();
        let trace = Backend::Recorder.layer(telemetry.source(), TraceLayer::server().grpc());
        let metrics = MetricsLayer::server().grpc();
        let respond = tower::service_fn(move |_: http::Request<()>| {
            let body = ScriptedBody::new([Step::Data("a"), Step::Pending]);
            let mut response = http::Response::new(body);
            let grpc = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, grpc);
            if is_marked {
                response.extensions_mut().insert(LongLived::default());
            }
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        let service = ServiceBuilder::new()
            .layer(observe((trace, metrics)))
            .service(respond);
        let request = http::Request::post("http://a/shop.Cart/Watch")
            .version(http::Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc");
        let sent = Instant::now();
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        let head_took = sent.elapsed().as_secs_f64();
        let open = || telemetry.sum("grpc_streams_open", &[]);
        assert_eq!(open(), f64::from(u8::from(is_marked)));
        let head = Instant::now();
        while head.elapsed() < Duration::from_millis(20) {}
        // The client disconnects.
        drop(response);
        assert_eq!(open(), 0.0);
        let cancelled = [("status", "CANCELLED")];
        assert_eq!(telemetry.sum("grpc_requests_total", &cancelled), 1.0);
        assert_eq!(telemetry.sum("grpc_requests_in_flight", &[]), 0.0);
        let seconds = telemetry.sum("grpc_request_duration_seconds_sum", &[]);
        assert_eq!(seconds <= head_took, is_marked, "{seconds}");
        let spans = telemetry.spans();
        assert_eq!(spans[0].status, Status::Unset);
        assert_eq!(text(&spans[0], "error.type"), None);
    }
}
