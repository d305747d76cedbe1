//! All signals with all backends, and checks of what they record.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData},
    },
    trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData},
};
use suite_tests::telemetry::{integer, text};
use tower_otel_core::{Kind, RequestHead, Route};
use tower_otel_metrics::{MetricsLayer, Names, OtelMetrics};
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::{Recorder, RecorderBackend, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

use crate::reference::Expected;

/// A prefix for the names of the conventions, because some equal the short names of a client.
const PREFIX: &str = "conventions_";

/// The layers of all signals with all backends.
pub struct Layers {
    pub spans: (
        TraceLayer,
        TraceLayer<tower_otel_trace::TracerBackend<SdkTracer>>,
        TraceLayer<RecorderBackend>,
    ),
    pub facade: (MetricsLayer, MetricsLayer),
    pub otel: (MetricsLayer<OtelMetrics>, MetricsLayer<OtelMetrics>),
}

/// The exporters and recorders that the layers write to.
pub struct RecordedTelemetry {
    kind: Kind,
    tracing: InMemorySpanExporter,
    direct: InMemorySpanExporter,
    recorded: InMemorySpanExporter,
    recorder: Recorder,
    providers: [SdkTracerProvider; 2],
    prometheus: Prometheus,
    meters: SdkMeterProvider,
    metrics: InMemoryMetricExporter,
}

/// A value of a metric: of a counter or gauge, or the count of a histogram.
#[derive(Clone, Debug)]
struct Point {
    metric: String,
    labels: BTreeMap<String, String>,
    value: i64,
}

/// Returns the URI of a caller. Its path identifies the caller on a server, its host on a client.
pub fn uri(index: usize) -> String {
    format!("http://h{index}:80/x{index}")
}

fn route(request: &dyn RequestHead) -> Option<Route> {
    Some(Route::from(request.target().path.to_owned()))
}

impl RecordedTelemetry {
    /// Runs a closure with its own subscriber and metrics recorder.
    pub fn with<T>(kind: Kind, run: impl FnOnce(&Self) -> T) -> T {
        let spans = || {
            let spans = InMemorySpanExporter::default();
            let provider = SdkTracerProvider::builder()
                .with_simple_exporter(spans.clone())
                .build();
            (spans, provider)
        };
        let (tracing, provider) = spans();
        let (direct, direct_provider) = spans();
        let recorded = InMemorySpanExporter::default();
        let metrics = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meters = SdkMeterProvider::builder().with_reader(reader).build();
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
        let telemetry = Self {
            kind,
            tracing,
            direct,
            recorder: Recorder::builder(recorded.clone()).build().unwrap(),
            recorded,
            providers: [provider, direct_provider],
            prometheus,
            meters,
            metrics,
        };
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(subscriber, || run(&telemetry))
        })
    }

    pub fn layers(&self) -> Layers {
        let (spans, metrics) = match self.kind {
            Kind::Server => (TraceLayer::server(), MetricsLayer::server()),
            Kind::Client => (TraceLayer::client(), MetricsLayer::client()),
        };
        let (spans, short) = (spans.route(route), metrics.route(route));
        let conventions = short
            .clone()
            .names(Names::Conventions)
            .rename(|name| format!("{PREFIX}{name}"));
        Layers {
            otel: (
                short.clone().meter_provider(&self.meters),
                conventions.clone().meter_provider(&self.meters),
            ),
            spans: (
                spans.clone(),
                spans.clone().tracer_provider(&self.providers[1]),
                spans.recorder(&self.recorder),
            ),
            facade: (short, conventions),
        }
    }

    /// Checks all signals except the meter: an ended exchange is recorded once with the expected
    /// values, an open one is only in flight.
    pub fn check(&self, exchanges: &[Option<Option<Expected>>]) {
        self.recorder.flush(Duration::from_secs(60)).unwrap();
        let ended = exchanges.iter().flatten().flatten().count() as u64;
        let counts = self.recorder.counts();
        let expected = (ended, 0, 0);
        assert_eq!((counts.exported, counts.failed, counts.dropped), expected);
        for (backend, spans) in [
            ("tracing", &self.tracing),
            ("direct", &self.direct),
            ("record", &self.recorded),
        ] {
            let spans = spans.get_finished_spans().unwrap();
            for (index, exchange) in exchanges.iter().enumerate() {
                let is = |span: &&SpanData| caller(self.kind, span) == index;
                let recorded: Vec<_> = spans.iter().filter(is).map(code_and_error).collect();
                let expected = exchange.iter().flatten().map(|expected| {
                    let code = expected.code.map(|code| i64::from(code.as_u16()));
                    (code, expected.error.clone())
                });
                assert_eq!(
                    recorded,
                    expected.collect::<Vec<_>>(),
                    "{backend} spans of {index}"
                );
            }
        }
        self.check_points("facade", &self.prometheus(), exchanges);
    }

    /// Checks the OpenTelemetry meter. Reading it is slow, so it is checked once at the end.
    pub fn check_meter(&self, exchanges: &[Option<Option<Expected>>]) {
        self.check_points("meter", &self.meter(), exchanges);
    }

    fn check_points(
        &self,
        backend: &str,
        points: &[Point],
        exchanges: &[Option<Option<Expected>>],
    ) {
        let (requests, duration, in_flight, conventions, active) = match self.kind {
            Kind::Server => (
                "http_requests_total",
                "http_request_duration_seconds",
                "http_requests_in_flight",
                "http_server_request_duration",
                "http_server_active_requests",
            ),
            Kind::Client => (
                "http_client_requests_total",
                "http_client_request_duration_seconds",
                "http_client_requests_in_flight",
                "http_client_request_duration",
                "http_client_active_requests",
            ),
        };
        let sum = |metric: &str| -> i64 {
            let is = |point: &&Point| point.metric == metric;
            points.iter().filter(is).map(|point| point.value).sum()
        };
        let open = exchanges
            .iter()
            .flatten()
            .filter(|expected| expected.is_none())
            .count() as i64;
        assert_eq!(sum(in_flight), open, "{backend}: {in_flight}");
        let active = format!("{PREFIX}{active}");
        assert_eq!(sum(&active), open, "{backend}: {active}");
        for (index, exchange) in exchanges.iter().enumerate() {
            let expected = exchange.as_ref().and_then(Option::as_ref);
            let recorded = |metric: &str, labels: &[&str]| -> Vec<(i64, Vec<Option<String>>)> {
                let points = points.iter().filter(|point| {
                    point.metric.trim_end_matches("_seconds") == metric.trim_end_matches("_seconds")
                        && point.value != 0
                        && point.is_of(self.kind, index)
                });
                let labels = |point: &Point| {
                    let label = |label: &&str| point.labels.get(*label).cloned();
                    labels.iter().map(label).collect()
                };
                points.map(|point| (point.value, labels(point))).collect()
            };
            let once = |labels: &dyn Fn(&Expected) -> Vec<Option<String>>| -> Vec<_> {
                expected
                    .map(|expected| (1, labels(expected)))
                    .into_iter()
                    .collect()
            };
            let method = |expected: &Expected| Some(expected.method.to_owned());
            assert_eq!(
                recorded(requests, &["method", "status"]),
                once(&|expected| vec![method(expected), Some(expected.status.clone())]),
                "{backend}: {requests} of {index}"
            );
            assert_eq!(
                recorded(duration, &["method"]),
                once(&|expected| vec![method(expected)]),
                "{backend}: {duration} of {index}"
            );
            assert_eq!(
                recorded("http_responses_aborted_total", &[]),
                expected
                    .filter(|expected| expected.aborted)
                    .map(|_| (1, Vec::new()))
                    .into_iter()
                    .collect::<Vec<_>>(),
                "{backend}: aborted of {index}"
            );
            let labels = [
                "http_request_method",
                "http_response_status_code",
                "error_type",
            ];
            assert_eq!(
                recorded(&format!("{PREFIX}{conventions}"), &labels),
                once(&|expected| vec![
                    method(expected),
                    expected.code.map(|code| code.as_str().to_owned()),
                    expected.error.clone()
                ]),
                "{backend}: {conventions} of {index}"
            );
        }
    }

    /// Returns the points of a scrape, without buckets and sums.
    fn prometheus(&self) -> Vec<Point> {
        let text = self.prometheus.render();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let points = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.trim_end_matches('}').split_once('{')?;
            if name.ends_with("_bucket") || name.ends_with("_sum") {
                return None;
            }
            let label = |label: &str| {
                let (key, value) = label.split_once('=').unwrap();
                (key.to_owned(), value.trim_matches('"').to_owned())
            };
            Some(Point {
                metric: name.trim_end_matches("_count").to_owned(),
                labels: labels.split(',').map(label).collect(),
                value: value.parse::<f64>().unwrap() as i64,
            })
        });
        points.collect()
    }

    /// Returns the points of the meter.
    fn meter(&self) -> Vec<Point> {
        self.metrics.reset();
        self.meters.force_flush().unwrap();
        let exported = self.metrics.get_finished_metrics().unwrap();
        let mut points = Vec::new();
        let metrics = exported.iter().flat_map(|metrics| metrics.scope_metrics());
        for metric in metrics.flat_map(|scope| scope.metrics()) {
            let name = metric.name().replace('.', "_");
            let mut push = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>,
                            value| {
                points.push(Point {
                    metric: name.clone(),
                    labels: attributes
                        .map(|own| (own.key.as_str().replace('.', "_"), own.value.to_string()))
                        .collect(),
                    value,
                });
            };
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
                    .data_points()
                    .for_each(|point| push(&mut point.attributes(), point.value() as i64)),
                AggregatedMetrics::I64(MetricData::Sum(sum)) => sum
                    .data_points()
                    .for_each(|point| push(&mut point.attributes(), point.value())),
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                    .data_points()
                    .for_each(|point| push(&mut point.attributes(), point.count() as i64)),
                other => panic!("{name} has an unexpected type: {other:?}"),
            }
        }
        points
    }
}

impl Point {
    fn is_of(&self, kind: Kind, index: usize) -> bool {
        let has = |key: &str, value: String| self.labels.get(key) == Some(&value);
        match kind {
            Kind::Server => {
                has("path", format!("/x{index}")) || has("http_route", format!("/x{index}"))
            }
            Kind::Client => {
                has("host", format!("h{index}:80")) || has("server_address", format!("h{index}"))
            }
        }
    }
}

/// Returns the index of the caller of a span.
fn caller(kind: Kind, span: &SpanData) -> usize {
    let (key, from) = match kind {
        Kind::Server => ("http.route", "/x"),
        Kind::Client => ("server.address", "h"),
    };
    let name = text(span, key).unwrap();
    name.strip_prefix(from).unwrap().parse().unwrap()
}

/// Returns the status code and `error.type` of a span. Its status must be an error exactly
/// if it has an `error.type`.
fn code_and_error(span: &SpanData) -> (Option<i64>, Option<String>) {
    let error = text(span, "error.type");
    let failed = span.status != Status::Unset;
    assert_eq!(failed, error.is_some(), "{span:#?}");
    (integer(span, "http.response.status_code"), error)
}
