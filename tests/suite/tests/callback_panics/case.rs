//! The layers of one case, and what they must record.

use std::{
    any::Any,
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context as TaskContext, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry::trace::Status;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use suite_tests::{
    backend::{AnyTraceLayer, Backend},
    telemetry::{TestTelemetry, attribute, text},
};
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names, OtelMetrics};
use tower_otel_trace::TraceLayer;

use crate::callback::{ALL, Callback, Payload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    Client,
}

impl Kind {
    pub(crate) fn trace(self) -> TraceLayer {
        match self {
            Self::Server => TraceLayer::server(),
            Self::Client => TraceLayer::client(),
        }
    }

    pub(crate) fn metrics(self) -> MetricsLayer {
        match self {
            Self::Server => MetricsLayer::server(),
            Self::Client => MetricsLayer::client(),
        }
    }

    pub(crate) fn requests(self) -> &'static str {
        match self {
            Self::Server => "http_requests_total",
            Self::Client => "http_client_requests_total",
        }
    }

    pub(crate) fn in_flight(self) -> &'static str {
        match self {
            Self::Server => "http_requests_in_flight",
            Self::Client => "http_client_requests_in_flight",
        }
    }
}

/// The layers of a case, with one function that panics.
pub(crate) struct Case {
    pub(crate) telemetry: TestTelemetry,
    meter: SdkMeterProvider,
    exported: InMemoryMetricExporter,
    pub(crate) kind: Kind,
    pub(crate) callback: Callback,
    pub(crate) backend: Backend,
}

impl Case {
    pub(crate) fn new(backend: Backend, kind: Kind, callback: Callback) -> Self {
        let exported = InMemoryMetricExporter::default();
        Self {
            telemetry: TestTelemetry::new(),
            meter: SdkMeterProvider::builder()
                .with_periodic_exporter(exported.clone())
                .build(),
            exported,
            kind,
            callback,
            backend,
        }
    }

    pub(crate) fn trace(&self) -> AnyTraceLayer {
        let layer = self.callback.trace(self.kind.trace());
        self.backend.layer(self.telemetry.source(), layer)
    }

    pub(crate) fn metrics(&self) -> MetricsLayer {
        self.callback.metrics(self.kind.metrics())
    }

    pub(crate) fn otel_metrics(&self) -> MetricsLayer<OtelMetrics> {
        let layer = self.kind.metrics().names(Names::Conventions);
        self.callback.metrics(layer.meter_provider(&self.meter))
    }

    pub(crate) fn assert_payload(&self, panic: Box<dyn Any + Send>) {
        assert_eq!(panic.downcast_ref(), Some(&Payload(self.callback)));
    }

    /// Checks that span and metrics recorded one exchange that panicked without a response.
    pub(crate) fn assert_panicked(&self) {
        self.assert_all_panicked(1);
    }

    /// Checks that span and metrics recorded this number of exchanges that panicked without a response.
    pub(crate) fn assert_all_panicked(&self, exchanges: u8) {
        self.assert_spans_panicked(exchanges);
        let metrics = self.telemetry.metrics();
        let count = f64::from(exchanges);
        assert_eq!(self.count(&[]), count, "{self:?}: {metrics}");
        assert_eq!(
            self.count(&[("status", "panic")]),
            count,
            "{self:?}: {metrics}"
        );
        assert_eq!(self.in_flight(), 0.0, "{self:?}: {metrics}");
        self.assert_otel_metrics_panicked(exchanges);
    }

    pub(crate) fn count(&self, labels: &[(&str, &str)]) -> f64 {
        self.telemetry.sum(self.kind.requests(), labels)
    }

    pub(crate) fn in_flight(&self) -> f64 {
        self.telemetry.sum(self.kind.in_flight(), &[])
    }

    pub(crate) fn assert_spans_panicked(&self, count: u8) {
        let spans = self.telemetry.spans();
        assert_eq!(spans.len(), usize::from(count), "{self:?}: {spans:#?}");
        for span in &spans {
            assert_eq!(
                text(span, "error.type").as_deref(),
                Some("panic"),
                "{self:?}"
            );
            assert!(matches!(span.status, Status::Error { .. }), "{self:?}");
            assert_eq!(
                attribute(span, "http.response.status_code"),
                None,
                "{self:?}"
            );
        }
    }

    fn assert_otel_metrics_panicked(&self, exchanges: u8) {
        self.meter.force_flush().unwrap();
        let exported = self.exported.get_finished_metrics().unwrap();
        let metrics = exported.iter().flat_map(|all| all.scope_metrics());
        let metrics = metrics.flat_map(|scope| scope.metrics());
        let (mut ended, mut in_flight) = (Vec::new(), Vec::new());
        for metric in metrics {
            match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(duration)) => {
                    for point in duration.data_points() {
                        let attributes = point.attributes().map(|attribute| {
                            (attribute.key.to_string(), attribute.value.to_string())
                        });
                        ended.push((point.count(), attributes.collect::<Vec<_>>()));
                    }
                }
                AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                    in_flight.extend(sum.data_points().map(|point| point.value()));
                }
                _ => {}
            }
        }
        let [(count, attributes)] = ended.as_slice() else {
            panic!("{self:?}: one series, not {ended:#?}");
        };
        assert_eq!(*count, u64::from(exchanges), "{self:?}");
        let has = |key: &str| attributes.iter().find(|(name, _)| name == key);
        let error = has("error.type").map(|(_, value)| value.as_str());
        assert_eq!(error, Some("panic"), "{self:?}: {attributes:?}");
        assert_eq!(has("http.response.status_code"), None, "{self:?}");
        assert_eq!(in_flight, [0], "{self:?}");
    }
}

impl Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            callback,
            backend,
            ..
        } = self;
        write!(f, "{callback:?} on {kind:?} with {backend:?}")
    }
}

pub(crate) fn cases(run: impl Fn(Case)) {
    for backend in Backend::ALL {
        for kind in [Kind::Server, Kind::Client] {
            let called = |callback: &Callback| match kind {
                Kind::Server => true,
                Kind::Client => callback.is_called_on_clients(),
            };
            for callback in ALL.into_iter().filter(called) {
                run(Case::new(backend, kind, callback));
            }
        }
    }
}

type Hello = Ready<Result<Response<Full<Bytes>>, Infallible>>;
pub(crate) type Inner = tower::util::ServiceFn<fn(Request<()>) -> Hello>;

pub(crate) fn hello(_: Request<()>) -> Hello {
    ready(Ok(Response::new(Full::from("hello"))))
}

/// Returns the panic payload of an exchange.
pub(crate) fn panic_of<T>(case: &Case, exchange: impl Future<Output = T>) -> Box<dyn Any + Send> {
    let mut exchange = pin!(exchange);
    let cx = &mut TaskContext::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| exchange.as_mut().poll(cx).map(|_| ()))) {
        Ok(_) => panic!("{case:?}: no panic reaches the caller"),
        Err(panic) => panic,
    }
}

/// Sends one request through the layers.
pub(crate) fn run<S, B>(case: &Case, layer: impl Layer<Inner, Service = S>)
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let request = Request::get("http://api.example/").body(()).unwrap();
    run_request(case, layer, request);
}

/// Sends this request through the layers.
pub(crate) fn run_request<S, B>(
    case: &Case,
    layer: impl Layer<Inner, Service = S>,
    request: Request<()>,
) where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    case.assert_payload(panic_of(case, async {
        service.call(request).await.map(|_| ())
    }));
}
