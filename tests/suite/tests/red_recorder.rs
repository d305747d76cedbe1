//! The metrics layer without a metrics recorder, and with a recorder that is installed late.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    sync::Once,
    task::{Context, Poll, Waker},
    thread,
};

use http::{Request, Response};
use http_body_util::Empty;
use metrics::with_local_recorder;
use suite_tests::telemetry::sum;
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tracing_subscriber::layer::SubscriberExt;

fn run(layer: &MetricsLayer) {
    let respond = |_| ready(Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new())));
    let mut service = layer.layer(service_fn(respond));
    let mut future = pin!(service.call(Request::new(())));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(cx), Poll::Ready(Ok(_))));
}

thread_local! {
    static WARNINGS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the warnings of each thread.
struct Warnings;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            WARNINGS.set(WARNINGS.get() + 1);
        }
    }
}

/// Installs the subscriber before the first warning. Otherwise `tracing` can cache that the warning
/// has no subscriber.
fn install_subscriber() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Warnings);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

#[test]
fn a_recorder_installed_late_gets_the_later_exchanges() {
    install_subscriber();
    let layer = MetricsLayer::server();
    run(&layer);
    run(&layer);
    assert_eq!(WARNINGS.get(), 1, "logged once");

    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || run(&layer));
    let text = prometheus.render();
    assert_eq!(sum(&text, "http_requests_total", &[]), 1.0);
    assert_eq!(sum(&text, "http_request_duration_seconds_count", &[]), 1.0);
    assert_eq!(sum(&text, "http_requests_in_flight", &[]), 0.0);
    assert!(text.contains("# HELP http_requests_total "), "{text}");
    assert_eq!(WARNINGS.get(), 1);
}

/// The exchange is counted and the gauge does not become negative.
#[test]
fn a_recorder_installed_during_an_exchange_counts_it() {
    install_subscriber();
    let layer = MetricsLayer::server();
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let mut finished = Some(finished);
    let mut service = layer.layer(service_fn(move |_: Request<()>| {
        let finished = finished.take().unwrap();
        async {
            let _ = finished.await;
            Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new()))
        }
    }));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(Request::new(())));
    assert!(future.as_mut().poll(cx).is_pending());
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        finish.send(()).unwrap();
        assert!(future.as_mut().poll(cx).is_ready());
    });
    let text = prometheus.render();
    assert_eq!(sum(&text, "http_requests_total", &[]), 1.0);
    assert_eq!(sum(&text, "http_requests_in_flight", &[]), 0.0);
}

/// A no-op handle from a thread without a recorder is not cached for other threads.
#[test]
fn a_series_first_used_without_a_recorder_is_counted_on_threads_that_have_one() {
    install_subscriber();
    let layer = MetricsLayer::server();
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        thread::scope(|scope| {
            scope.spawn(|| run(&layer)).join().unwrap();
        });
        run(&layer);
    });
    assert_eq!(sum(&prometheus.render(), "http_requests_total", &[]), 1.0);
}
