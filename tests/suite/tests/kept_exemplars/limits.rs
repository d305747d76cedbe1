//! A trace that is not exported is no exemplar.

use std::sync::{Arc, mpsc};

use http::{Method, Request};
use metrics::with_local_recorder;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, Sampler, SpanData, SpanExporter},
};
use tower::{Layer, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_recorder::{Keep, Recorder};
use tracing_subscriber::layer::SubscriberExt;

use crate::setup::{BACKENDS, Backend, Order, Setup, drive, handle, request};

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

/// An exporter that blocks in its first export until the test continues.
#[derive(Debug)]
struct BlockingExporter {
    exports: mpsc::Sender<()>,
    continues: std::sync::Mutex<mpsc::Receiver<()>>,
    pub(crate) spans: InMemorySpanExporter,
}

impl SpanExporter for BlockingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let _ = self.exports.send(());
        // After the first export, the channel is disconnected.
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
        // The queue has a free place, and the export thread does not empty it.
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
