//! The same exchanges, recorded by an OpenTelemetry meter and by the `metrics` facade: an OTLP receiver
//! and a scrape have equal values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{collections::BTreeMap, convert::Infallible, future::ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{AggregationTemporality, ScopeMetrics, metric::Data, number_data_point},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use suite_tests::{
    otlp::Receiver,
    telemetry::{TestTelemetry, with_timeout},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_semconv::{SCHEMA_URL, metric::DURATION_BOUNDARIES};

/// Returns a provider that exports over OTLP/gRPC from the current runtime.
fn provider(endpoint: String) -> SdkMeterProvider {
    let exporter = opentelemetry_otlp::MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .unwrap();
    SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .build()
}

/// Sends requests through both layers. Returns the exported and the scraped metrics.
async fn exported_and_scraped(names: Names) -> (Vec<ScopeMetrics>, String) {
    let telemetry = TestTelemetry::new();
    let receiver = Receiver::start().await;
    let provider = provider(receiver.endpoint());
    let server = || {
        MetricsLayer::server()
            .names(names)
            .body_sizes()
            .label("api", |_| Some("v1".into()))
            .route(|request| (request.target().path != "/x").then(|| "/a/{id}".into()))
    };
    let client = || MetricsLayer::client().names(names).body_sizes();
    let respond = |request: Request<Empty<Bytes>>| {
        let mut response = Response::new(Full::new(Bytes::from("hello")));
        *response.status_mut() = match request.uri().path() {
            "/x" => StatusCode::NOT_FOUND,
            "/broken" => StatusCode::BAD_GATEWAY,
            _ => StatusCode::OK,
        };
        ready(Ok::<_, Infallible>(response))
    };
    let servers = observe((server(), server().meter_provider(&provider)));
    let clients = observe((client(), client().meter_provider(&provider)));
    let service = servers.layer(clients.layer(service_fn(respond)));
    for path in ["a", "a", "x", "broken", "cut"] {
        let request = Request::post(format!("http://shop.internal:8080/{path}"))
            .header("content-length", 1_500);
        let request = request.body(Empty::new()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        if path != "cut" {
            response.into_body().collect().await.unwrap();
        }
    }
    let flushed = tokio::task::spawn_blocking(move || provider.force_flush());
    with_timeout("the metrics are sent", flushed)
        .await
        .unwrap()
        .unwrap();
    (receiver.metrics(), telemetry.metrics())
}

/// Values by metric name and sorted labels.
type Samples = BTreeMap<String, f64>;

fn line(name: &str, mut labels: Vec<(String, String)>) -> String {
    labels.sort();
    format!("{name}{labels:?}")
}

fn scraped(text: &str) -> Samples {
    let samples = text.lines().filter(|line| !line.is_empty());
    let samples = samples.filter(|line| !line.starts_with('#')).map(|sample| {
        let (series, value) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        let labels = labels.trim_end_matches('}').split(',').map(|label| {
            let (key, value) = label.split_once('=').unwrap();
            (key.to_owned(), value.trim_matches('"').to_owned())
        });
        (line(name, labels.collect()), value.parse().unwrap())
    });
    samples.collect()
}

/// Translates OTLP metrics to Prometheus samples by the specification.
fn translated(scopes: &[ScopeMetrics]) -> Samples {
    let mut samples = Samples::new();
    for metric in scopes.iter().flat_map(|scope| &scope.metrics) {
        let suffix = match &*metric.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "{request}" => "",
            other => panic!("unexpected unit {other:?}"),
        };
        let name = metric.name.replace('.', "_");
        let name = format!("{}{suffix}", name.trim_end_matches(suffix));
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                for point in &sum.data_points {
                    let Some(number_data_point::Value::AsInt(value)) = point.value else {
                        panic!("{name} is not an integer");
                    };
                    samples.insert(line(&name, labels(&point.attributes)), value as f64);
                }
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let labels = labels(&point.attributes);
                    let mut at_most = 0;
                    let bounds = point.explicit_bounds.iter().map(f64::to_string);
                    let bounds = bounds.chain(["+Inf".to_owned()]);
                    for (le, count) in bounds.zip(&point.bucket_counts) {
                        at_most += count;
                        let mut labels = labels.clone();
                        labels.push(("le".to_owned(), le));
                        samples.insert(line(&format!("{name}_bucket"), labels), at_most as f64);
                    }
                    let sum = line(&format!("{name}_sum"), labels.clone());
                    samples.insert(sum, point.sum.unwrap());
                    samples.insert(line(&format!("{name}_count"), labels), point.count as f64);
                }
            }
            other => panic!("{name} is {other:?}"),
        }
    }
    samples
}

fn labels(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let labels = attributes.iter().map(|attribute| {
        let value = match attribute.value.clone().unwrap().value.unwrap() {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            other => panic!("{} is {other:?}", attribute.key),
        };
        (attribute.key.replace('.', "_"), value)
    });
    labels.collect()
}

async fn assert_equal_values(names: Names, expected_series: &str) -> Vec<ScopeMetrics> {
    let (pushed, text) = exported_and_scraped(names).await;
    let mut scraped = scraped(&text);
    // The facade has a counter series from its registration, the SDK from its first increment.
    scraped.retain(|series, value| {
        !(series.starts_with("http_responses_aborted_total") && *value == 0.0)
    });
    assert!(
        scraped.contains_key(expected_series),
        "{expected_series} of {scraped:#?}"
    );
    assert_eq!(translated(&pushed), scraped);
    pushed
}

#[tokio::test(flavor = "current_thread")]
async fn otlp_and_scrape_have_equal_values_with_short_names() {
    let expected_series = r#"http_requests_total[("api", "v1"), ("method", "POST"), ("path", "/a/{id}"), ("status", "502")]"#;
    assert_equal_values(Names::Short, expected_series).await;
}

#[tokio::test(flavor = "current_thread")]
async fn otlp_and_scrape_have_equal_values_with_the_names_of_the_conventions() {
    let expected_series =
        r#"http_server_active_requests[("http_request_method", "POST"), ("url_scheme", "http")]"#;
    let pushed = assert_equal_values(Names::Conventions, expected_series).await;

    let typed = |key: &str| {
        let metrics = pushed.iter().flat_map(|scope| &scope.metrics);
        let mut metrics = metrics.filter(|metric| metric.name == "http.client.request.duration");
        let metric = metrics.next().unwrap();
        assert_eq!(metric.unit, "s");
        let Some(Data::Histogram(histogram)) = &metric.data else {
            panic!("the metric is not a histogram");
        };
        assert_eq!(
            histogram.aggregation_temporality(),
            AggregationTemporality::Cumulative
        );
        let point = &histogram.data_points[0];
        assert_eq!(point.explicit_bounds, DURATION_BOUNDARIES);
        let attribute = point.attributes.iter().find(|has| has.key == key).unwrap();
        attribute.value.clone().unwrap().value.unwrap()
    };
    assert_eq!(typed("server.port"), Value::IntValue(8080));
    assert!(matches!(
        typed("http.response.status_code"),
        Value::IntValue(200 | 404 | 502)
    ));
    assert_eq!(
        typed("server.address"),
        Value::StringValue("shop.internal".into())
    );
}

#[tokio::test(flavor = "current_thread")]
async fn exported_metrics_have_a_scope_a_version_and_a_schema_url() {
    let (pushed, _) = exported_and_scraped(Names::Conventions).await;
    assert!(!pushed.is_empty());
    for scope in &pushed {
        let instrumentation = scope.scope.as_ref().unwrap();
        assert_eq!(instrumentation.name, "tower-otel-metrics");
        assert_eq!(instrumentation.version, "0.1.0");
        assert_eq!(scope.schema_url, SCHEMA_URL);
        for metric in &scope.metrics {
            assert!(!metric.description.is_empty(), "{}", metric.name);
        }
    }
}
