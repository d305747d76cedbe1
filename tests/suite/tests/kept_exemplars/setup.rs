//! A recorder with keep rules behind each span backend, and layers in any order.

use std::{
    collections::BTreeSet,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context as TaskContext, Poll, Waker},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::StreamBody;
use metrics::with_local_recorder;
use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler};
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

/// The span backend of the layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Tracing,
    /// `tracing` spans whose records the layer writes.
    TracingRecord,
    OpenTelemetry,
    Records,
}

pub(crate) const BACKENDS: [Backend; 4] = [
    Backend::Tracing,
    Backend::TracingRecord,
    Backend::OpenTelemetry,
    Backend::Records,
];

/// A recorder that samples no trace, with keep rules.
pub(crate) struct Setup {
    pub(crate) backend: Backend,
    pub(crate) recorder: Recorder,
    prometheus: Prometheus,
    pub(crate) metrics: Box<dyn metrics::Recorder>,
    pub(crate) spans: InMemorySpanExporter,
}

impl Setup {
    pub(crate) fn new(backend: Backend, rules: Keep) -> Self {
        let spans = InMemorySpanExporter::default();
        let recorder = Recorder::builder(spans.clone())
            .sampler(Sampler::AlwaysOff)
            .keep(rules)
            .build()
            .unwrap();
        Self::with_recorder(backend, recorder, spans)
    }

    pub(crate) fn with_recorder(
        backend: Backend,
        recorder: Recorder,
        spans: InMemorySpanExporter,
    ) -> Self {
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
    pub(crate) fn send(&self, order: Order, requests: impl IntoIterator<Item = Request<()>>) {
        let layer = match self.backend {
            Backend::TracingRecord => self.recorder.layer().alone(),
            _ => self.recorder.layer(),
        };
        let subscriber = tracing_subscriber::registry().with(layer);
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

    pub(crate) fn layer(&self) -> TraceLayer<AnyBackend> {
        let layer = TraceLayer::server().grpc();
        match self.backend {
            Backend::Tracing | Backend::TracingRecord => layer.any_backend(),
            Backend::OpenTelemetry => {
                let provider = self.recorder.tracer_provider();
                layer.tracer_provider(&provider).any_backend()
            }
            Backend::Records => layer.recorder(&self.recorder).any_backend(),
        }
    }

    /// Returns the trace ids and span ids of the exemplars.
    pub(crate) fn exemplars(&self) -> BTreeSet<Ids> {
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
    pub(crate) fn exported(&self) -> BTreeSet<Ids> {
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
pub(crate) enum Order {
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
pub(crate) const WITH_EXEMPLARS: [Order; 5] = [
    Order::TraceMetrics,
    Order::TraceMetricsPropagate,
    Order::TracePropagateMetrics,
    Order::CustomTraceMetrics,
    Order::NestedTraceMetrics,
];

/// The orders in which a kept trace is not an exemplar.
pub(crate) const WITHOUT_EXEMPLARS: [Order; 5] = [
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

pub(crate) fn request(method: &Method, action: &str) -> Request<()> {
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

pub(crate) async fn handle(request: Request<()>) -> io::Result<Response<Body>> {
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

/// Sends a request and reads the response until it is pending. Then drops it. Catches panics.
pub(crate) fn drive<S, B>(mut service: S, request: Request<()>)
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
