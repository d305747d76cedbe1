//! Functions of the application that panic: the exchange ends as `panic` in span and metrics, and the
//! panic reaches the caller.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    any::Any,
    convert::Infallible,
    fmt::Debug,
    future::{Ready, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::Status,
};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use suite_tests::{
    backend::{AnyTraceLayer, Backend},
    telemetry::{TestTelemetry, attribute, text, with_timeout},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, service_fn};
use tower_otel_core::{Filter, HttpOptions, RequestHead, ResponseHead, observe};
use tower_otel_metrics::{MetricsBackend, MetricsLayer, Names, OtelMetrics};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// The payload of a function's panic.
#[derive(Debug, PartialEq, Eq)]
struct Payload(Callback);

/// A function of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    SharedFilter,
    SharedRoute,
    TraceFilter,
    TraceRoute,
    RemoteParent,
    Extract,
    MetricsFilter,
    MetricsRoute,
    Label,
    ResponseLabel,
    PropagateFilter,
    Inject,
}

use Callback::*;

const ALL: [Callback; 12] = [
    SharedFilter,
    SharedRoute,
    TraceFilter,
    TraceRoute,
    RemoteParent,
    Extract,
    MetricsFilter,
    MetricsRoute,
    Label,
    ResponseLabel,
    PropagateFilter,
    Inject,
];

impl Callback {
    fn panic(self) -> ! {
        // Unwinds like a panic, without printing a message.
        resume_unwind(Box::new(Payload(self)))
    }

    fn filter(self) -> Filter {
        Filter::new(move |_: &dyn RequestHead| self.panic())
    }

    /// Returns whether a client's layers call the function.
    fn is_called_on_clients(self) -> bool {
        // Client spans do not continue remote parents, and client metrics have no route.
        !matches!(self, RemoteParent | Extract | MetricsRoute)
    }

    fn trace(self, layer: TraceLayer) -> TraceLayer {
        match self {
            SharedFilter => layer.http_options(&HttpOptions::default().filter(self.filter())),
            SharedRoute => layer.http_options(&HttpOptions::default().route(move |_| self.panic())),
            TraceFilter => layer.filter(self.filter()),
            TraceRoute => layer.route(move |_| self.panic()),
            RemoteParent => layer.remote_parent(move |_| self.panic()),
            Extract => layer.propagator(PanickingPropagator(self)),
            _ => layer,
        }
    }

    fn metrics<B: MetricsBackend>(self, layer: MetricsLayer<B>) -> MetricsLayer<B> {
        match self {
            SharedFilter => layer.http_options(&HttpOptions::default().filter(self.filter())),
            SharedRoute => layer.http_options(&HttpOptions::default().route(move |_| self.panic())),
            MetricsFilter => layer.filter(self.filter()),
            MetricsRoute => layer.route(move |_| self.panic()),
            Label => layer.label("tenant", move |_| self.panic()),
            ResponseLabel => {
                layer.response_label("cache", move |_: &dyn ResponseHead| self.panic())
            }
            _ => layer,
        }
    }

    fn propagate(self) -> PropagateLayer {
        match self {
            PropagateFilter => PropagateLayer::new().filter(self.filter()),
            Inject => PropagateLayer::new().propagator(PanickingPropagator(self)),
            _ => PropagateLayer::new(),
        }
    }
}

#[derive(Debug)]
struct PanickingPropagator(Callback);

impl TextMapPropagator for PanickingPropagator {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
        self.0.panic()
    }

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        self.0.panic()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Server,
    Client,
}

impl Kind {
    fn trace(self) -> TraceLayer {
        match self {
            Self::Server => TraceLayer::server(),
            Self::Client => TraceLayer::client(),
        }
    }

    fn metrics(self) -> MetricsLayer {
        match self {
            Self::Server => MetricsLayer::server(),
            Self::Client => MetricsLayer::client(),
        }
    }

    fn requests(self) -> &'static str {
        match self {
            Self::Server => "http_requests_total",
            Self::Client => "http_client_requests_total",
        }
    }

    fn in_flight(self) -> &'static str {
        match self {
            Self::Server => "http_requests_in_flight",
            Self::Client => "http_client_requests_in_flight",
        }
    }
}

/// The layers of a case, with one function that panics.
struct Case {
    telemetry: TestTelemetry,
    meter: SdkMeterProvider,
    exported: InMemoryMetricExporter,
    kind: Kind,
    callback: Callback,
    backend: Backend,
}

impl Case {
    fn new(backend: Backend, kind: Kind, callback: Callback) -> Self {
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

    fn trace(&self) -> AnyTraceLayer {
        let layer = self.callback.trace(self.kind.trace());
        self.backend.layer(self.telemetry.source(), layer)
    }

    fn metrics(&self) -> MetricsLayer {
        self.callback.metrics(self.kind.metrics())
    }

    fn otel_metrics(&self) -> MetricsLayer<OtelMetrics> {
        let layer = self.kind.metrics().names(Names::Conventions);
        self.callback.metrics(layer.meter_provider(&self.meter))
    }

    fn assert_payload(&self, panic: Box<dyn Any + Send>) {
        assert_eq!(panic.downcast_ref(), Some(&Payload(self.callback)));
    }

    /// Checks that span and metrics recorded one exchange that panicked without a response.
    fn assert_panicked(&self) {
        self.assert_all_panicked(1);
    }

    /// Checks that span and metrics recorded this number of exchanges that panicked without a response.
    fn assert_all_panicked(&self, exchanges: u8) {
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

    fn count(&self, labels: &[(&str, &str)]) -> f64 {
        self.telemetry.sum(self.kind.requests(), labels)
    }

    fn in_flight(&self) -> f64 {
        self.telemetry.sum(self.kind.in_flight(), &[])
    }

    fn assert_spans_panicked(&self, count: u8) {
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

fn cases(run: impl Fn(Case)) {
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
type Inner = tower::util::ServiceFn<fn(Request<()>) -> Hello>;

fn hello(_: Request<()>) -> Hello {
    ready(Ok(Response::new(Full::from("hello"))))
}

/// Returns the panic payload of an exchange.
fn panic_of<T>(case: &Case, exchange: impl Future<Output = T>) -> Box<dyn Any + Send> {
    let mut exchange = pin!(exchange);
    let cx = &mut TaskContext::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| exchange.as_mut().poll(cx).map(|_| ()))) {
        Ok(_) => panic!("{case:?}: no panic reaches the caller"),
        Err(panic) => panic,
    }
}

/// Sends one request through the layers.
fn run<S, B>(case: &Case, layer: impl Layer<Inner, Service = S>)
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let request = Request::get("http://api.example/").body(()).unwrap();
    case.assert_payload(panic_of(case, async {
        service.call(request).await.map(|_| ())
    }));
}

#[test]
fn joined_layers_end_as_panic() {
    cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        run(&case, observe(layers));
        case.assert_panicked();
    });
}

#[test]
fn joined_layers_in_the_other_order_end_as_panic() {
    cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.callback.propagate(), metrics, case.trace());
        run(&case, observe(layers));
        case.assert_panicked();
    });
}

#[test]
fn layers_around_the_one_that_panics_end_as_panic() {
    cases(|case| {
        let layers = ServiceBuilder::new()
            .layer(case.trace())
            .layer(case.metrics())
            .layer(case.otel_metrics())
            .layer(case.callback.propagate());
        run(&case, layers.into_inner());
        case.assert_spans_panicked(1);
        // A layer inside the one that panics is not called.
        if !matches!(
            case.callback,
            SharedFilter | SharedRoute | TraceFilter | TraceRoute | RemoteParent | Extract
        ) {
            assert_eq!(case.count(&[("status", "panic")]), case.count(&[]));
            assert_eq!(case.count(&[]), 1.0, "{case:?}");
        }
        assert_eq!(case.in_flight(), 0.0, "{case:?}");
    });
}

/// Returns the response of a service in a `tower::buffer`, or the panic payload of the exchange.
async fn buffered<F, R>(service: Buffer<Request<()>, F>) -> Result<R, Payload>
where
    F: Future<Output = Result<R, Infallible>> + Send + 'static,
{
    let request = Request::get("http://api.example/").body(()).unwrap();
    let mut exchange = pin!(service.oneshot(request));
    let caught = poll_fn(|cx| {
        let poll = catch_unwind(AssertUnwindSafe(|| exchange.as_mut().poll(cx)));
        match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    match with_timeout("the exchange", caught).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => panic!("the buffer fails: {error}"),
        Err(panic) => Err(*panic.downcast::<Payload>().expect("a panic of a function")),
    }
}

/// Sends two requests through a `tower::buffer` around the layers. Both panic.
fn run_buffered<S, B>(case: &Case, layer: impl Layer<Inner, Service = S>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible, Future: Send>
        + Send
        + 'static,
    B: Debug + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = Buffer::new(layer.layer(service_fn(hello as fn(_) -> _)), 4);
        for _ in 0..2 {
            let response = buffered(service.clone()).await;
            let panic = response.err();
            assert_eq!(panic, Some(Payload(case.callback)), "{case:?}");
        }
    });
}

#[test]
fn the_worker_of_a_buffer_goes_on_if_a_function_panics() {
    cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        run_buffered(&case, observe(layers));
        case.assert_all_panicked(2);
    });
}

#[test]
fn the_worker_of_a_buffer_goes_on_if_a_function_of_a_separate_layer_panics() {
    cases(|case| {
        let layers = ServiceBuilder::new()
            .layer(case.trace())
            .layer(case.metrics())
            .layer(case.callback.propagate());
        run_buffered(&case, layers.into_inner());
        case.assert_spans_panicked(2);
        assert_eq!(case.in_flight(), 0.0, "{case:?}");
    });
}

#[tokio::test]
async fn the_next_request_after_a_panic_is_served() {
    let telemetry = TestTelemetry::new();
    let panics = Arc::new(AtomicBool::new(true));
    let filter = Filter::new(move |_: &dyn RequestHead| {
        if panics.swap(false, Relaxed) {
            TraceFilter.panic();
        }
        true
    });
    let layer = observe((TraceLayer::server().filter(filter), MetricsLayer::server()));
    let service = layer.layer(service_fn(hello as fn(_) -> _));
    let service = Buffer::new(service, 4);
    let first = buffered(service.clone()).await;
    assert_eq!(first.err(), Some(Payload(TraceFilter)));
    assert!(buffered(service).await.is_ok());
    let errors: Vec<_> = telemetry
        .spans()
        .iter()
        .map(|span| text(span, "error.type"))
        .collect();
    assert_eq!(errors[0].as_deref(), Some("panic"));
    assert_eq!(errors.len(), 2);
    assert_eq!(
        telemetry.sum("http_requests_total", &[("status", "200")]),
        1.0
    );
}

/// Middleware that responds without a connection.
struct Respond;

impl Middleware for Respond {
    // The signature that the async-trait macro generates.
    fn handle<'this, 'extensions, 'next, 'future>(
        &'this self,
        _: reqwest::Request,
        _: &'extensions mut Extensions,
        _: Next<'next>,
    ) -> Pin<Box<dyn Future<Output = reqwest_middleware::Result<reqwest::Response>> + Send + 'future>>
    where
        'this: 'future,
        'extensions: 'future,
        'next: 'future,
        Self: 'future,
    {
        Box::pin(ready(Ok(reqwest_response())))
    }
}

fn reqwest_request() -> reqwest::Request {
    reqwest::Request::new(http::Method::GET, "http://api.example/".parse().unwrap())
}

fn reqwest_response() -> reqwest::Response {
    Response::new("hello").into()
}

fn client_cases(run: impl Fn(Case)) {
    cases(|case| {
        if case.kind == Kind::Client {
            run(case);
        }
    });
}

#[test]
fn a_client_of_reqwest_ends_as_panic() {
    client_cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        let mut client = observe(layers).layer(service_fn(|_: reqwest::Request| {
            ready(Ok::<_, reqwest::Error>(reqwest_response()))
        }));
        let exchange = async { client.call(reqwest_request()).await };
        case.assert_payload(panic_of(&case, exchange));
        case.assert_panicked();
    });
}

#[test]
fn middleware_of_reqwest_ends_as_panic() {
    client_cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(observe(layers).into_middleware())
            .with(Respond)
            .build();
        case.assert_payload(panic_of(&case, client.execute(reqwest_request())));
        case.assert_panicked();
    });
}

/// Sends one gRPC call. Returns `false` if the function is not called for it.
fn call_panics<S, B>(case: &Case, layer: impl Layer<Inner, Service = S>) -> bool
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let request = Request::post("http://api.example/shop.Cart/Unary")
        .version(http::Version::HTTP_2)
        .header(http::header::CONTENT_TYPE, "application/grpc");
    let mut exchange = pin!(service.call(request.body(()).unwrap()));
    let cx = &mut TaskContext::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| exchange.as_mut().poll(cx).is_ready()));
    polled.map_err(|panic| case.assert_payload(panic)).is_err()
}

#[test]
fn calls_of_grpc_end_as_panic() {
    cases(|case| {
        let layer = case.callback.trace(case.kind.trace().grpc());
        let trace = case.backend.layer(case.telemetry.source(), layer);
        let metrics = case.callback.metrics(case.kind.metrics().grpc());
        let panics = call_panics(&case, observe((trace, metrics, case.callback.propagate())));
        // A call has a method instead of a route.
        let is_called = !matches!(case.callback, SharedRoute | TraceRoute | MetricsRoute);
        assert_eq!(panics, is_called, "{case:?}");
        if panics {
            let spans = case.telemetry.spans();
            assert_eq!(spans.len(), 1, "{case:?}");
            let error = text(&spans[0], "error.type");
            assert_eq!(error.as_deref(), Some("panic"), "{case:?}");
        }
        let sum = |metric: &str| case.telemetry.sum(&metric.replace("http", "grpc"), &[]);
        let metrics = case.telemetry.metrics();
        let count = sum(case.kind.requests()) + case.count(&[]);
        assert_eq!(count, 1.0, "{case:?}: {metrics}");
        let in_flight = sum(case.kind.in_flight()) + case.in_flight();
        assert_eq!(in_flight, 0.0, "{case:?}: {metrics}");
    });
}
