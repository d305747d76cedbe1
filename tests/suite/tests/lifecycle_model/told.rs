//! Everything that every signal and every backend tells, and how it is read.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData},
    },
    trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData},
};
use suite_tests::scene::{integer, text};
use tower_otel_core::{Kind, RequestHead, Route};
use tower_otel_metrics::{MetricsLayer, Names, OtelMetrics};
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::{Recorder, RecorderBackend, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

use crate::reference::Verdict;

/// Puts a prefix before the conventions' names, for a client's short ones are partly the same.
const PREFIX: &str = "conventions_";

/// All signals over all backends.
pub struct Layers {
    pub spans: (
        TraceLayer,
        TraceLayer<tower_otel_trace::TracerBackend<SdkTracer>>,
        TraceLayer<RecorderBackend>,
    ),
    pub facade: (MetricsLayer, MetricsLayer),
    pub otel: (MetricsLayer<OtelMetrics>, MetricsLayer<OtelMetrics>),
}

/// Where they tell it.
pub struct Told {
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

/// One number of a metric: a counter's, a gauge's, or how many samples a histogram has.
#[derive(Clone, Debug)]
struct Point {
    metric: String,
    labels: BTreeMap<String, String>,
    value: i64,
}

/// Who is asked: a server by the route, a client by the host.
pub fn uri(of: usize) -> String {
    format!("http://h{of}:80/x{of}")
}

fn route(request: &dyn RequestHead) -> Option<Route> {
    Some(Route::from(request.target().path.to_owned()))
}

impl Told {
    /// Runs something with a subscriber and a recorder of its own.
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
        let told = Self {
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
            tracing::subscriber::with_default(subscriber, || run(&told))
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

    /// Asks every signal for every exchange: what has ended is told once and alike by all of
    /// them, what has not is in flight and nothing else.
    pub fn check(&self, exchanges: &[Option<Option<Verdict>>]) {
        self.recorder.flush(Duration::from_secs(60)).unwrap();
        let ended = exchanges.iter().flatten().flatten().count() as u64;
        let counts = self.recorder.counts();
        let due = (ended, 0, 0);
        assert_eq!((counts.exported, counts.failed, counts.dropped), due);
        for (backend, spans) in [
            ("tracing", &self.tracing),
            ("direct", &self.direct),
            ("record", &self.recorded),
        ] {
            let spans = spans.get_finished_spans().unwrap();
            for (of, exchange) in exchanges.iter().enumerate() {
                let is = |span: &&SpanData| asked(self.kind, span) == of;
                let told: Vec<_> = spans.iter().filter(is).map(said).collect();
                let due = exchange.iter().flatten().map(|verdict| {
                    let code = verdict.code.map(|code| i64::from(code.as_u16()));
                    (code, verdict.error.clone())
                });
                assert_eq!(told, due.collect::<Vec<_>>(), "{backend} spans of {of}");
            }
        }
        self.check_points("facade", &self.prometheus(), exchanges);
    }

    /// The same of the OpenTelemetry meter, which is read less often: it takes longer.
    pub fn check_meter(&self, exchanges: &[Option<Option<Verdict>>]) {
        self.check_points("meter", &self.meter(), exchanges);
    }

    fn check_points(&self, backend: &str, points: &[Point], exchanges: &[Option<Option<Verdict>>]) {
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
            let of = |point: &&Point| point.metric == metric;
            points.iter().filter(of).map(|point| point.value).sum()
        };
        let open = exchanges.iter().flatten().filter(|of| of.is_none()).count() as i64;
        assert_eq!(sum(in_flight), open, "{backend}: {in_flight}");
        let active = format!("{PREFIX}{active}");
        assert_eq!(sum(&active), open, "{backend}: {active}");
        for (of, exchange) in exchanges.iter().enumerate() {
            let due = exchange.as_ref().and_then(Option::as_ref);
            let told = |metric: &str, labels: &[&str]| -> Vec<(i64, Vec<Option<String>>)> {
                let points = points.iter().filter(|point| {
                    point.metric.trim_end_matches("_seconds") == metric.trim_end_matches("_seconds")
                        && point.value != 0
                        && point.is_of(self.kind, of)
                });
                let labels = |point: &Point| {
                    let label = |label: &&str| point.labels.get(*label).cloned();
                    labels.iter().map(label).collect()
                };
                points.map(|point| (point.value, labels(point))).collect()
            };
            let once = |labels: &dyn Fn(&Verdict) -> Vec<Option<String>>| -> Vec<_> {
                due.map(|due| (1, labels(due))).into_iter().collect()
            };
            let method = |due: &Verdict| Some(due.method.to_owned());
            assert_eq!(
                told(requests, &["method", "status"]),
                once(&|due| vec![method(due), Some(due.status.clone())]),
                "{backend}: {requests} of {of}"
            );
            assert_eq!(
                told(duration, &["method"]),
                once(&|due| vec![method(due)]),
                "{backend}: {duration} of {of}"
            );
            assert_eq!(
                told("http_responses_aborted_total", &[]),
                due.filter(|due| due.aborted)
                    .map(|_| (1, Vec::new()))
                    .into_iter()
                    .collect::<Vec<_>>(),
                "{backend}: aborted of {of}"
            );
            let labels = [
                "http_request_method",
                "http_response_status_code",
                "error_type",
            ];
            assert_eq!(
                told(&format!("{PREFIX}{conventions}"), &labels),
                once(&|due| vec![
                    method(due),
                    due.code.map(|code| code.as_str().to_owned()),
                    due.error.clone()
                ]),
                "{backend}: {conventions} of {of}"
            );
        }
    }

    /// What a scrape sees, buckets and sums left out.
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

    /// The same from the meter.
    fn meter(&self) -> Vec<Point> {
        self.metrics.reset();
        self.meters.force_flush().unwrap();
        let told = self.metrics.get_finished_metrics().unwrap();
        let mut points = Vec::new();
        let metrics = told.iter().flat_map(|told| told.scope_metrics());
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
                other => panic!("{name} is of another kind: {other:?}"),
            }
        }
        points
    }
}

impl Point {
    fn is_of(&self, kind: Kind, of: usize) -> bool {
        let has = |key: &str, value: String| self.labels.get(key) == Some(&value);
        match kind {
            Kind::Server => has("path", format!("/x{of}")) || has("http_route", format!("/x{of}")),
            Kind::Client => {
                has("host", format!("h{of}:80")) || has("server_address", format!("h{of}"))
            }
        }
    }
}

/// Whose span this is.
fn asked(kind: Kind, span: &SpanData) -> usize {
    let (key, from) = match kind {
        Kind::Server => ("http.route", "/x"),
        Kind::Client => ("server.address", "h"),
    };
    let name = text(span, key).unwrap();
    name.strip_prefix(from).unwrap().parse().unwrap()
}

/// The status and the error of a span, which has to be an error exactly where it names one.
fn said(span: &SpanData) -> (Option<i64>, Option<String>) {
    let error = text(span, "error.type");
    let failed = span.status != Status::Unset;
    assert_eq!(failed, error.is_some(), "{span:#?}");
    (integer(span, "http.response.status_code"), error)
}
