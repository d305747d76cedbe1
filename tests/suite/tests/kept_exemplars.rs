//! Exemplars of traces that are not sampled: those that are kept are exemplars, and no others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::BTreeSet,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context as TaskContext, Poll, Waker},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::StreamBody;
use metrics::with_local_recorder;
use opentelemetry::{
    Context, KeyValue,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, Sampler, SpanData, SpanExporter},
};
use suite_tests::net::{ScriptedBody, Step};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_propagate::PropagateLayer;
use tower_otel_recorder::{Keep, Recorder, keep_trace};
use tower_otel_trace::{AnyBackend, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

type Ids = [String; 2];

/// How the layer records its spans.
#[derive(Clone, Copy, Debug)]
enum Backend {
    Tracing,
    OpenTelemetry,
    Records,
}

const BACKENDS: [Backend; 3] = [Backend::Tracing, Backend::OpenTelemetry, Backend::Records];

/// A recorder that samples no trace, with keep rules.
struct Setup {
    backend: Backend,
    recorder: Recorder,
    prometheus: Prometheus,
    metrics: Box<dyn metrics::Recorder>,
    spans: InMemorySpanExporter,
}

impl Setup {
    fn new(backend: Backend, rules: Keep) -> Self {
        let spans = InMemorySpanExporter::default();
        let recorder = Recorder::builder(spans.clone())
            .sampler(Sampler::AlwaysOff)
            .keep(rules)
            .build()
            .unwrap();
        Self::with_recorder(backend, recorder, spans)
    }

    fn with_recorder(backend: Backend, recorder: Recorder, spans: InMemorySpanExporter) -> Self {
        let (metrics, prometheus) = Prometheus::builder().exemplars().build().unwrap();
        Self {
            backend,
            recorder,
            prometheus,
            metrics: Box::new(metrics),
            spans,
        }
    }

    /// Sends requests with the subscriber and the metrics recorder of this setup.
    fn send(&self, order: Order, requests: impl IntoIterator<Item = Request<()>>) {
        let subscriber = tracing_subscriber::registry().with(self.recorder.layer());
        tracing::subscriber::with_default(subscriber, || {
            with_local_recorder(&*self.metrics, || {
                for request in requests {
                    send(order, self.layer(), request);
                    let current = Context::current();
                    assert!(!current.has_active_span(), "the context is left");
                }
            });
        });
    }

    fn layer(&self) -> TraceLayer<AnyBackend> {
        let layer = TraceLayer::server().grpc();
        match self.backend {
            Backend::Tracing => layer.any_backend(),
            Backend::OpenTelemetry => {
                let provider = self.recorder.tracer_provider();
                layer.tracer_provider(&provider).any_backend()
            }
            Backend::Records => layer.recorder(&self.recorder).any_backend(),
        }
    }

    /// Returns the trace ids and span ids of the exemplars.
    fn exemplars(&self) -> BTreeSet<Ids> {
        let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
        let mut body = pin!(
            ready_now(self.prometheus.service().call(request.body(()).unwrap()))
                .unwrap()
                .into_body()
        );
        let mut text = Vec::new();
        let cx = &mut TaskContext::from_waker(Waker::noop());
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(frame)) => text.extend(frame.unwrap().into_data().unwrap()),
                Poll::Ready(None) => break,
                Poll::Pending => {}
            }
        }
        let text = String::from_utf8(text).unwrap();
        let exemplars = text.lines().filter_map(|line| line.split_once(" # "));
        let ids = exemplars.map(|(_, exemplar)| {
            let quoted: Vec<_> = exemplar.split('"').collect();
            [quoted[1].to_owned(), quoted[3].to_owned()]
        });
        ids.collect()
    }

    /// Returns the trace ids and span ids of the exported spans of requests.
    fn exported(&self) -> BTreeSet<Ids> {
        self.recorder.flush(Duration::from_secs(20)).unwrap();
        let spans = self.spans.get_finished_spans().unwrap();
        let ids = spans.iter().map(|span| {
            let context = &span.span_context;
            assert!(!context.is_sampled(), "{span:?}");
            [
                context.trace_id().to_string(),
                context.span_id().to_string(),
            ]
        });
        ids.collect()
    }
}

/// The order of the layers, from the outside in.
#[derive(Clone, Copy, Debug)]
enum Order {
    TraceMetrics,
    TraceMetricsPropagate,
    TracePropagateMetrics,
    CustomTraceMetrics,
    NestedTraceMetrics,
    TraceMetricsCustom,
    TraceCustomMetrics,
    MetricsTrace,
    TraceThenMetrics,
    MetricsThenTrace,
}

/// The orders in which a kept trace is an exemplar.
const WITH_EXEMPLARS: [Order; 5] = [
    Order::TraceMetrics,
    Order::TraceMetricsPropagate,
    Order::TracePropagateMetrics,
    Order::CustomTraceMetrics,
    Order::NestedTraceMetrics,
];

/// Those in which it is not.
const WITHOUT_EXEMPLARS: [Order; 5] = [
    Order::TraceMetricsCustom,
    Order::TraceCustomMetrics,
    Order::MetricsTrace,
    Order::TraceThenMetrics,
    Order::MetricsThenTrace,
];

fn send(order: Order, trace: TraceLayer<AnyBackend>, request: Request<()>) {
    let metrics = MetricsLayer::server().grpc();
    let propagate = PropagateLayer::new();
    let inner = service_fn(handle);
    match order {
        Order::TraceMetrics => drive(observe((trace, metrics)).layer(inner), request),
        Order::TraceMetricsPropagate => {
            drive(observe((trace, metrics, propagate)).layer(inner), request);
        }
        Order::TracePropagateMetrics => {
            drive(observe((trace, propagate, metrics)).layer(inner), request);
        }
        Order::CustomTraceMetrics => {
            drive(observe((Annotates, trace, metrics)).layer(inner), request);
        }
        Order::NestedTraceMetrics => {
            drive(observe(((trace, propagate), metrics)).layer(inner), request);
        }
        Order::TraceMetricsCustom => {
            drive(observe((trace, metrics, Annotates)).layer(inner), request);
        }
        Order::TraceCustomMetrics => {
            drive(observe((trace, Annotates, metrics)).layer(inner), request);
        }
        Order::MetricsTrace => drive(observe((metrics, trace)).layer(inner), request),
        Order::TraceThenMetrics => {
            let layers = ServiceBuilder::new().layer(trace).layer(metrics);
            drive(layers.service(inner), request);
        }
        Order::MetricsThenTrace => {
            let layers = ServiceBuilder::new().layer(metrics).layer(trace);
            drive(layers.service(inner), request);
        }
    }
}

/// An observer of the application that changes the current span at the end.
#[derive(Clone, Copy, Debug)]
struct Annotates;

impl Observe for Annotates {
    type Exchange = Self;

    fn start(&self, _: &RequestInfo<'_>, _: Instant) -> Self {
        Self
    }
}

impl Exchange for Annotates {
    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _: &dyn ResponseHead) {}

    fn end(&mut self, _: End<'_>, _: Instant) {
        let annotation = KeyValue::new("shop.annotated", true);
        Context::map_current(|context| context.span().set_attribute(annotation));
    }
}

fn request(method: &Method, action: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("/{action}"));
    match action {
        // The parent is in another process.
        "called" => request.header(
            "traceparent",
            "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00",
        ),
        "shop.Cart/Get" | "shop.Cart/Fail" => request
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc"),
        _ => request,
    }
    .body(())
    .unwrap()
}

async fn handle(request: Request<()>) -> io::Result<Response<Body>> {
    let scripted = |steps: Vec<Step>| Body::new(ScriptedBody::new(steps));
    let mut response = Response::new(Body::from("hello"));
    match request.uri().path() {
        "/fails" | "/called" => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        "/fails-empty" => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            *response.body_mut() = Body::empty();
        }
        "/marked" => keep_trace(),
        "/pending" => std::future::pending().await,
        "/panics" => panic!("the handler panics"),
        "/error" => return Err(io::ErrorKind::ConnectionReset.into()),
        "/endless" => *response.body_mut() = scripted(vec![Step::Data("a"), Step::Pending]),
        "/body-fails" => *response.body_mut() = scripted(vec![Step::Data("a"), Step::Error]),
        "/body-panics" => *response.body_mut() = scripted(vec![Step::Data("a"), Step::Panic]),
        path @ ("/shop.Cart/Get" | "/shop.Cart/Fail") => {
            let code = if path.ends_with("Get") { "0" } else { "13" };
            let trailers =
                HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
            let frames = [
                http_body::Frame::data(Bytes::from_static(&[0; 5])),
                http_body::Frame::trailers(trailers),
            ];
            let frames = tokio_stream::iter(frames.map(Ok::<_, io::Error>));
            *response.body_mut() = Body::new(StreamBody::new(frames));
            let grpc = "application/grpc".parse().unwrap();
            response.headers_mut().insert("content-type", grpc);
        }
        _ => {}
    }
    Ok(response)
}

/// Sends a request and reads the response as far as it goes. Drops what is pending, and catches panics.
fn drive<S, B>(mut service: S, request: Request<()>)
where
    S: Service<Request<()>, Response = Response<B>, Error = io::Error>,
    B: http_body::Body<Data = Bytes>,
{
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let cx = &mut TaskContext::from_waker(Waker::noop());
        let mut future = pin!(service.call(request));
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
        }
    }));
}

fn ready_now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is pending"),
    }
}

#[test]
fn a_kept_trace_is_an_exemplar_however_its_request_ends() {
    let slow = || Keep::default().slower_than(Duration::from_nanos(1));
    for backend in BACKENDS {
        for order in WITH_EXEMPLARS {
            for (method, action, rules) in [
                (Method::GET, "fails", Keep::errors()),
                (Method::GET, "fails-empty", Keep::errors()),
                (Method::GET, "called", Keep::errors()),
                (Method::GET, "good", slow()),
                (Method::GET, "marked", Keep::default()),
                (Method::GET, "pending", Keep::errors()),
                (Method::GET, "panics", Keep::errors()),
                (Method::GET, "error", Keep::errors()),
                (Method::GET, "endless", Keep::errors()),
                (Method::GET, "body-fails", Keep::errors()),
                (Method::GET, "body-panics", Keep::errors()),
                (Method::POST, "shop.Cart/Fail", Keep::errors()),
                (Method::POST, "shop.Cart/Get", slow()),
            ] {
                let case = format!("{backend:?} {order:?} {action}");
                let setup = Setup::new(backend, rules);
                setup.send(order, [request(&method, action)]);
                let exported = setup.exported();
                assert_eq!(exported.len(), 1, "{case}");
                assert_eq!(setup.exemplars(), exported, "{case}");
            }
        }
    }
}

#[test]
fn a_trace_that_is_not_kept_is_no_exemplar() {
    for backend in BACKENDS {
        for order in WITH_EXEMPLARS.into_iter().chain(WITHOUT_EXEMPLARS) {
            for (method, action) in [(Method::GET, "good"), (Method::POST, "shop.Cart/Get")] {
                let case = format!("{backend:?} {order:?} {action}");
                let setup = Setup::new(backend, Keep::errors());
                setup.send(order, [request(&method, action)]);
                assert_eq!(setup.exported().len(), 0, "{case}");
                assert_eq!(setup.exemplars().len(), 0, "{case}");
            }
        }
    }
}

#[test]
fn in_other_orders_a_kept_trace_is_no_exemplar() {
    for backend in BACKENDS {
        for order in WITHOUT_EXEMPLARS {
            for action in ["fails", "called", "pending", "panics", "endless"] {
                let case = format!("{backend:?} {order:?} {action}");
                let setup = Setup::new(backend, Keep::errors());
                setup.send(order, [request(&Method::GET, action)]);
                assert_eq!(setup.exported().len(), 1, "{case}");
                assert_eq!(setup.exemplars().len(), 0, "{case}");
            }
        }
    }
}

#[test]
fn an_observer_of_the_application_ends_inside_the_open_span_of_a_kept_trace() {
    for backend in BACKENDS {
        for order in [Order::TraceMetricsCustom, Order::TraceCustomMetrics] {
            let setup = Setup::new(backend, Keep::errors());
            setup.send(order, [request(&Method::GET, "fails")]);
            setup.exported();
            let spans = setup.spans.get_finished_spans().unwrap();
            let keys = spans[0].attributes.iter().map(|attribute| &attribute.key);
            let is_annotated = { keys }.any(|key| key.as_str() == "shop.annotated");
            assert!(is_annotated, "{backend:?} {order:?}");
        }
    }
}

const METHODS: [Method; 6] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
];

/// Failing requests whose durations are in different series.
fn failing_requests() -> impl Iterator<Item = Request<()>> {
    METHODS.iter().map(|method| request(method, "fails"))
}

#[test]
fn a_trace_over_the_limit_of_a_second_is_no_exemplar() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors().per_second(1));
        setup.send(Order::TraceMetrics, failing_requests());
        let exported = setup.exported();
        assert!((1..METHODS.len()).contains(&exported.len()), "{exported:?}");
        assert_eq!(setup.exemplars(), exported, "{backend:?}");
    }
}

#[test]
fn a_trace_without_room_is_no_exemplar() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors());
        let tracer = setup.recorder.tracer_provider().tracer("shop");
        let open: Vec<_> = (0..10_000).map(|_| tracer.start("open")).collect();
        setup.send(Order::TraceMetrics, [request(&Method::GET, "fails")]);
        assert_eq!(setup.exported().len(), 0, "{backend:?}");
        assert_eq!(setup.exemplars().len(), 0, "{backend:?}");
        drop(open);
        setup.send(Order::TraceMetrics, [request(&Method::GET, "fails")]);
        let exported = setup.exported();
        assert_eq!(exported.len(), 1, "{backend:?}");
        assert_eq!(setup.exemplars(), exported, "{backend:?}");
    }
}

/// Blocks in its first export until the test continues.
#[derive(Debug)]
struct BlockingExporter {
    exports: mpsc::Sender<()>,
    continues: std::sync::Mutex<mpsc::Receiver<()>>,
    spans: InMemorySpanExporter,
}

impl SpanExporter for BlockingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let _ = self.exports.send(());
        // Disconnected after the first one.
        let _ = self.continues.lock().unwrap().recv();
        self.spans.export(batch).await
    }
}

#[test]
fn a_kept_trace_that_finds_the_queue_full_is_no_exemplar() {
    for backend in BACKENDS {
        let spans = InMemorySpanExporter::default();
        let ((exports, exporting), (go_on, continues)) = (mpsc::channel(), mpsc::channel());
        let exporter = BlockingExporter {
            exports,
            continues: continues.into(),
            spans: spans.clone(),
        };
        let recorder = Recorder::builder(exporter)
            .sampler(Sampler::AlwaysOff)
            .keep(Keep::errors())
            .queue_size(1)
            .build()
            .unwrap();
        let setup = Setup::with_recorder(backend, recorder, spans);
        let mut requests = failing_requests();
        setup.send(Order::TraceMetrics, requests.next());
        // The queue has a place again, and nobody empties it.
        exporting.recv().unwrap();
        setup.send(Order::TraceMetrics, requests);
        drop(go_on);
        let exported = setup.exported();
        assert_eq!(exported.len(), 2, "{backend:?}");
        assert_eq!(setup.exemplars(), exported, "{backend:?}");
    }
}

#[test]
fn a_span_whose_child_is_open_is_no_exemplar_and_arrives_later() {
    let setup = Setup::new(Backend::Tracing, Keep::errors());
    let subscriber = Arc::new(tracing_subscriber::registry().with(setup.recorder.layer()));
    let mut child = None;
    tracing::subscriber::with_default(subscriber, || {
        with_local_recorder(&*setup.metrics, || {
            let inner = service_fn(|request| {
                child = Some(tracing::info_span!("child"));
                handle(request)
            });
            let layer = observe((setup.layer(), MetricsLayer::server()));
            drive(layer.layer(inner), request(&Method::GET, "fails"));
        });
        assert_eq!(setup.exported().len(), 0);
        drop(child.take());
    });
    assert_eq!(setup.exported().len(), 2);
    assert_eq!(setup.exemplars().len(), 0);
}
