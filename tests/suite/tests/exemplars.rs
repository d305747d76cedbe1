//! An exemplar of a histogram bucket has the ids of a request in the bucket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics::with_local_recorder;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};
use suite_tests::backend::{AnyTraceLayer, Backend, Source};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::{Recorder, TraceLayer};
use tracing_subscriber::{Layer as _, layer::SubscriberExt};

/// Polls a future until it is ready. It waits for no event: a scrape is pending only between its pieces.
fn ready_now<T>(future: impl Future<Output = T>) -> T {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return output;
        }
    }
}

/// Sends a request and reads its response.
fn exchange<S, B>(mut service: S)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error = Infallible>,
{
    ready_now(async {
        let Ok(response) = service.call(Request::new(())).await;
        response.into_body().collect().await.unwrap();
    });
}

/// Sends a request through a trace layer and a metrics layer. Returns the ids of exemplars and of
/// exported spans, each as a pair of a trace id and a span id.
fn ids(
    backend: Backend,
    sampler: Sampler,
    send: impl FnOnce(AnyTraceLayer),
) -> (Vec<[String; 2]>, Vec<[String; 2]>) {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .with_sampler(sampler.clone())
        .build();
    let recorder = Recorder::builder(spans.clone()).sampler(sampler).build();
    let source = Source {
        provider,
        recorder: Arc::new(recorder.unwrap()),
    };
    let subscriber = match backend {
        Backend::TracingRecorder => source.recorder.layer().boxed(),
        Backend::TracingRecord => source.recorder.layer().alone().boxed(),
        _ => tracing_opentelemetry::layer()
            .with_tracer(source.provider.tracer("a test"))
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(subscriber);
    let (recorder, prometheus) = Prometheus::builder().exemplars().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        with_local_recorder(&recorder, || {
            send(backend.layer_below_subscriber(&source, TraceLayer::server()));
        });
    });
    source.recorder.flush(Duration::from_secs(20)).unwrap();

    let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
    let body = ready_now(async {
        let scrape = prometheus.service().call(request.body(()).unwrap()).await;
        scrape.unwrap().into_body().collect().await.unwrap()
    });
    let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    let exemplars = text.lines().filter_map(|line| line.split_once(" # "));
    let exemplars = exemplars.map(|(bucket, exemplar)| {
        let name = "http_request_duration_seconds_bucket{method=\"GET\"";
        assert!(bucket.starts_with(name), "{bucket}");
        let quoted: Vec<_> = exemplar.split('"').collect();
        [quoted[1].to_owned(), quoted[3].to_owned()]
    });
    let finished = spans.get_finished_spans().unwrap();
    let exported = finished.iter().map(|span| {
        let context = &span.span_context;
        [
            context.trace_id().to_string(),
            context.span_id().to_string(),
        ]
    });
    (exemplars.collect(), exported.collect())
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

fn joined(trace: AnyTraceLayer) {
    let layer = observe((trace, MetricsLayer::server()));
    exchange(layer.layer(service_fn(hello)));
}

fn stacked(trace: AnyTraceLayer) {
    let service = ServiceBuilder::new()
        .layer(trace)
        .layer(MetricsLayer::server())
        .service(service_fn(hello));
    exchange(service);
}

fn without_body(trace: AnyTraceLayer) {
    let layer = observe((trace, MetricsLayer::server()));
    let respond = |_| ready(Ok(Response::new(Full::<Bytes>::default())));
    exchange(layer.layer(service_fn(respond)));
}

fn cancelled(trace: AnyTraceLayer) {
    let layer = observe((trace, MetricsLayer::server()));
    let never = |_| std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>();
    let future = layer.layer(service_fn(never)).call(Request::new(()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(future).as_mut().poll(cx).is_pending());
}

#[test]
fn the_duration_of_a_request_has_the_ids_of_its_span() {
    for backend in Backend::ALL {
        for send in [joined, stacked, without_body, cancelled] {
            let (exemplars, exported) = ids(backend, Sampler::AlwaysOn, send);
            assert_eq!(exported.len(), 1, "{backend:?}");
            assert_eq!(exemplars, exported, "{backend:?}");
        }
    }
}

#[test]
fn a_span_that_is_not_sampled_is_no_exemplar() {
    for backend in Backend::ALL {
        for send in [joined, stacked] {
            let (exemplars, exported) = ids(backend, Sampler::AlwaysOff, send);
            assert_eq!((exemplars.len(), exported.len()), (0, 0), "{backend:?}");
        }
    }
}
