//! Exchanges in a thread-local variable, which end when their thread exits.
//!
//! At that time, the thread-local variables of other libraries may already be destroyed. A panic in the destructor of a
//! thread-local variable aborts the process, so each case runs in a separate process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    cell::RefCell,
    convert::Infallible,
    env,
    future::pending,
    pin::Pin,
    process::Command,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use suite_tests::{
    backend::{Backend, Source},
    net::{ScriptedBody, Step},
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::{Recorder, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

/// The state of the exchange when its thread exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Future,
    Body,
    /// A future from another thread. The exiting thread has had no other exchange.
    MovedFuture,
    MovedBody,
}

const HELD: [Held; 4] = [Held::Future, Held::Body, Held::MovedFuture, Held::MovedBody];

type HeldFuture = Pin<Box<dyn Future<Output = Box<dyn HeldBody>> + Send>>;

trait HeldBody: Send {}

impl<B: Body + Send> HeldBody for B {}

thread_local! {
    static FUTURE: RefCell<Option<HeldFuture>> = const { RefCell::new(None) };
    static BODY: RefCell<Option<Box<dyn HeldBody>>> = const { RefCell::new(None) };
}

const CASE: &str = "THREAD_EXIT_CASE";

#[test]
fn an_exchange_that_ends_at_the_exit_of_its_thread_does_not_abort_the_process() {
    let mut aborted = Vec::new();
    for backend in Backend::ALL {
        for held in HELD {
            let case = format!("{backend:?} {held:?}");
            let output = Command::new(env::current_exe().unwrap())
                .args(["--exact", "child", "--ignored", "--nocapture"])
                .env(CASE, &case)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let text = text + &String::from_utf8_lossy(&output.stdout);
            if !output.status.success() || !text.contains("ended:") {
                aborted.push(format!("{case}: {}\n{text}", output.status));
            }
            println!("{case}: {text}");
        }
    }
    assert!(aborted.is_empty(), "{}", aborted.join("\n"));
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child() {
    let case = env::var(CASE).unwrap();
    let backend = Backend::ALL
        .into_iter()
        .find(|backend| case.starts_with(&format!("{backend:?} ")))
        .unwrap();
    let held = HELD
        .into_iter()
        .find(|held| case.ends_with(&format!(" {held:?}")))
        .unwrap();

    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let recorder = Recorder::builder(spans.clone()).build().unwrap();
    let source = Source {
        provider,
        recorder: Arc::new(recorder),
    };
    let registry = tracing_subscriber::registry();
    match backend {
        Backend::TracingRecorder | Backend::TracingRecord => {
            let layer = source.recorder.layer();
            let layer = match backend {
                Backend::TracingRecord => layer.alone(),
                _ => layer,
            };
            tracing::subscriber::set_global_default(registry.with(layer)).unwrap();
        }
        _ => {
            let tracer = source.provider.tracer("a test");
            let layer = tracing_opentelemetry::layer().with_tracer(tracer);
            tracing::subscriber::set_global_default(registry.with(layer)).unwrap();
        }
    }
    let prometheus = Prometheus::builder().exemplars().install().unwrap();

    let trace = backend.layer_below_subscriber(&source, TraceLayer::server().exceptions());
    // The recorder looks for the current span.
    let layer = observe((trace, MetricsLayer::server()));
    let (sent, received) = std::sync::mpsc::channel();
    let is_moved = matches!(held, Held::MovedFuture | Held::MovedBody);
    let exchange = move || {
        // The first used variable of a thread is destroyed last.
        FUTURE.with_borrow(|_| ());
        BODY.with_borrow(|_| ());
        let mut service = layer.layer(service_fn(move |_: Request<()>| async move {
            if matches!(held, Held::Future | Held::MovedFuture) {
                pending::<()>().await;
            }
            let body = ScriptedBody::new([Step::Data("a"), Step::Pending]);
            Ok::<Response<ScriptedBody>, Infallible>(Response::new(body))
        }));
        let response = service.call(Request::new(()));
        let mut future: HeldFuture = Box::pin(async move {
            let response = response.await.unwrap();
            Box::new(response.into_body()) as Box<dyn HeldBody>
        });
        let cx = &mut Context::from_waker(Waker::noop());
        match future.as_mut().poll(cx) {
            Poll::Ready(body) if is_moved => sent.send((None, Some(body))).unwrap(),
            Poll::Pending if is_moved => sent.send((Some(future), None)).unwrap(),
            Poll::Ready(body) => BODY.set(Some(body)),
            Poll::Pending => FUTURE.set(Some(future)),
        }
    };
    thread::spawn(exchange).join().unwrap();
    if is_moved {
        thread::spawn(move || {
            FUTURE.with_borrow(|_| ());
            BODY.with_borrow(|_| ());
            // Uses the context, so that it is destroyed before the exchange.
            drop(opentelemetry::Context::current().attach());
            let (future, body) = received.recv().unwrap();
            FUTURE.set(future);
            BODY.set(body);
        })
        .join()
        .unwrap();
    }
    source.recorder.flush(Duration::from_secs(20)).unwrap();
    let text = prometheus.render();
    let status = match held {
        Held::Future | Held::MovedFuture => "cancelled",
        Held::Body | Held::MovedBody => "200",
    };
    assert!(text.contains(&format!("status=\"{status}\"}} 1")), "{text}");
    assert!(text.contains("in_flight{method=\"GET\"} 0"), "{text}");
    println!("ended: {} spans", spans.get_finished_spans().unwrap().len());
}
