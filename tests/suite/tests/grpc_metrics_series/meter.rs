//! A meter and the facade record the same.

use std::collections::BTreeMap;

use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use suite_tests::telemetry::TestTelemetry;
use tower::{Layer, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::{MetricsLayer, Names};

use crate::calls::{call, counted, respond};

/// Returns the value of each series of a meter, in the notation of Prometheus.
fn exported(exporter: &InMemoryMetricExporter) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let finished = exporter.get_finished_metrics().unwrap();
    let scopes = finished.last().unwrap().scope_metrics();
    for metric in scopes.flat_map(|scope| scope.metrics()) {
        let name = metric.name().replace('.', "_");
        let mut add = |suffix: &str, attributes: Vec<String>, value: f64| {
            let mut attributes = attributes;
            attributes.sort();
            let labels = attributes.join(",");
            series.insert(format!("{name}{suffix}{{{labels}}}"), value);
        };
        let labels = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
            attributes
                .map(|label| {
                    let key = label.key.as_str().replace('.', "_");
                    format!(r#"{key}="{}""#, label.value)
                })
                .collect::<Vec<_>>()
        };
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                for point in sum.data_points() {
                    add("", labels(&mut point.attributes()), point.value() as f64);
                }
            }
            AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                for point in sum.data_points() {
                    add("", labels(&mut point.attributes()), point.value() as f64);
                }
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                assert_eq!(metric.unit(), "s");
                let suffix = if name.ends_with("_seconds") {
                    "_count"
                } else {
                    "_seconds_count"
                };
                for point in histogram.data_points() {
                    let count = point.count() as f64;
                    add(suffix, labels(&mut point.attributes()), count);
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    series
}

#[tokio::test]
async fn a_meter_and_the_facade_record_the_same() {
    for names in [Names::Short, Names::Conventions] {
        let telemetry = TestTelemetry::new();
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        let both = |layer: MetricsLayer| {
            let layer = layer
                .grpc()
                .names(names)
                .label("tenant", |_| Some("acme".into()));
            observe((layer.clone(), layer.meter_provider(&provider)))
        };
        let service = both(MetricsLayer::client()).layer(service_fn(respond));
        let mut service = both(MetricsLayer::server()).layer(service);
        for answer in [
            "status-0",
            "status-13",
            "status-12",
            "status-16",
            "http-503",
            "stream",
            "x",
        ] {
            call(&mut service, &format!("/a.Service/{answer}"));
            call(&mut service, &format!("/a.Service/{answer}"));
        }
        provider.force_flush().unwrap();
        let exported = exported(&exporter);
        assert!(exported.len() > 20, "{exported:#?}");
        assert_eq!(exported, counted(&telemetry));
    }
}
