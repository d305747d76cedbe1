//! A scrape and a push contain the same samples.

use std::collections::BTreeMap;

use collector::{Behavior, Collector};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue as Attribute, any_value::Value},
    metrics::v1::{AggregationTemporality, Metric, metric::Data, number_data_point},
};

use crate::service::{between, run};

/// Values by name and labels, as in the text format.
type Samples = BTreeMap<String, String>;

/// Returns whether a metric can change between a scrape and a push: metrics about telemetry and the process.
fn changes(name: &str) -> bool {
    ["otel_sdk_", "process_", "tokio_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn scraped(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter(|line| !line.is_empty() && !changes(line));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

fn labels(attributes: &[Attribute], le: Option<&str>) -> String {
    let labels = attributes.iter().map(|attribute| {
        let Some(Value::StringValue(value)) = attribute.value.clone().unwrap().value else {
            panic!("{attribute:?}");
        };
        let value = value.replace('\\', "\\\\").replace('\n', "\\n");
        format!("{}=\"{}\"", attribute.key, value.replace('"', "\\\""))
    });
    let labels = labels.chain(le.map(|le| format!("le=\"{le}\"")));
    let labels = labels.collect::<Vec<_>>().join(",");
    if labels.is_empty() {
        return labels;
    }
    format!("{{{labels}}}")
}

/// Returns the samples of cumulative metrics, as Prometheus represents them.
pub(crate) fn pushed<'a>(metrics: impl Iterator<Item = &'a Metric>) -> Samples {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let mut samples = Samples::new();
    for metric in metrics.filter(|metric| !changes(&metric.name)) {
        let name = &metric.name;
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == cumulative);
                for point in &sum.data_points {
                    assert!(point.start_time_unix_nano < point.time_unix_nano);
                    let Some(number_data_point::Value::AsInt(value)) = point.value else {
                        panic!("{name}: {point:?}");
                    };
                    let series = format!("{name}{}", labels(&point.attributes, None));
                    samples.insert(series, value.to_string());
                }
            }
            Data::Gauge(gauge) => {
                for point in &gauge.data_points {
                    let Some(number_data_point::Value::AsDouble(value)) = point.value else {
                        panic!("{name}: {point:?}");
                    };
                    let series = format!("{name}{}", labels(&point.attributes, None));
                    samples.insert(series, value.to_string());
                }
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, cumulative);
                for point in &histogram.data_points {
                    let bounds = point.explicit_bounds.iter().map(f64::to_string);
                    let mut up_to = 0;
                    for (le, count) in bounds.chain(["+Inf".into()]).zip(&point.bucket_counts) {
                        up_to += count;
                        let labels = labels(&point.attributes, Some(&le));
                        samples.insert(format!("{name}_bucket{labels}"), up_to.to_string());
                    }
                    let labels = labels(&point.attributes, None);
                    let sum = point.sum.unwrap().to_string();
                    samples.insert(format!("{name}_sum{labels}"), sum);
                    samples.insert(format!("{name}_count{labels}"), point.count.to_string());
                }
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    samples
}

/// Returns the metrics of one scope in all requests.
pub(crate) fn of_scope<'a>(
    pushes: &'a [ExportMetricsServiceRequest],
    scope: &'a str,
) -> impl Iterator<Item = &'a Metric> {
    let resources = pushes.iter().flat_map(|push| &push.resource_metrics);
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    let scopes = scopes.filter(move |metrics| metrics.scope.as_ref().unwrap().name == scope);
    scopes.flat_map(|scope| &scope.metrics)
}

#[test]
fn a_scrape_and_a_collector_have_the_same_totals_after_a_shutdown() {
    for (http, protocol) in [(false, "grpc"), (true, "http/protobuf")] {
        for compression in ["none", "gzip"] {
            let collector = Collector::start(http, Behavior::Accepts);
            let output = run(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k7"),
            ]);
            let case = format!("{protocol} {compression}");
            let received = collector.received.lock().unwrap();
            let pushes: Vec<_> = received
                .pushes
                .iter()
                .map(|(_, push)| push.clone())
                .collect();
            let scraped = scraped(between(&output, "scrape"));
            assert_eq!(
                pushed(of_scope(&pushes, "tower-otel-init")),
                scraped,
                "{case}"
            );
            for series in [
                r#"http_requests_total{method="GET",path="/status/{id}",status="500"}"#,
                r#"http_request_duration_seconds_count{method="GET",path="/status/{id}"}"#,
                r#"http_requests_in_flight{method="GET"}"#,
                r#"jobs_total{kind="a \"b\"\\\n,}"}"#,
                r#"temperature_celsius{gr__e="groß"}"#,
            ] {
                assert!(
                    scraped.contains_key(series),
                    "{case}: {series} in {scraped:#?}"
                );
            }
            assert_eq!(scraped["jobs_total"], "9007199254740993");

            let metric = |name: &str| {
                let mut metrics = of_scope(&pushes, "tower-otel-init");
                metrics.find(|metric| metric.name == name).expect(name)
            };
            let jobs = metric("jobs_total");
            assert_eq!(jobs.description, "Jobs \"done\"\\,\nby kind.");
            let units = ["http_request_duration_seconds", "body_bytes", "connections"];
            assert_eq!(units.map(|name| &*metric(name).unit), ["s", "By", ""]);
            // Metrics about telemetry are pushed once, with the names of the scrape.
            let exported = of_scope(&pushes, "tower-otel-init")
                .filter(|metric| metric.name == "otel_sdk_exporter_span_exported_total")
                .last();
            let Some(Data::Sum(exported)) = &exported.unwrap().data else {
                panic!("{case}: {exported:?}");
            };
            // The spans of the last batch are included.
            let exported = exported.data_points.iter().map(|point| match point.value {
                Some(number_data_point::Value::AsInt(count)) => count,
                _ => panic!("{case}: {point:?}"),
            });
            let spans = i64::try_from(received.spans.len()).unwrap();
            assert!(spans > 0, "{case}");
            assert_eq!(exported.sum::<i64>(), spans, "{case}");
            assert!(
                !received
                    .metrics
                    .iter()
                    .any(|name| name.starts_with("otel.sdk"))
            );
            let hits = of_scope(&pushes, "library").map(|metric| &*metric.name);
            assert!(hits.eq(["cache.hits"]), "{case}");

            for (headers, push) in &received.pushes {
                assert_eq!(headers["api-key"], "k7", "{case}");
                for resource in &push.resource_metrics {
                    let resource = format!("{:?}", resource.resource);
                    assert!(resource.contains("\"shop\""), "{case}: {resource}");
                }
            }
        }
    }
}
