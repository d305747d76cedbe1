//! What becomes of numbers while no recorder is installed, and the metrics of applications.

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
    let answer = |_| ready(Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new())));
    let mut service = layer.layer(service_fn(answer));
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

/// Before anybody warns: `tracing` may keep on thinking that nobody hears a warning that was there
/// while its first subscriber came.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Warnings);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

#[test]
fn a_recorder_installed_late_gets_the_later_exchanges() {
    listen();
    let layer = MetricsLayer::server();
    run(&layer);
    run(&layer);
    assert_eq!(WARNINGS.get(), 1, "said once");

    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || run(&layer));
    let text = prometheus.render();
    assert_eq!(sum(&text, "http_requests_total", &[]), 1.0);
    assert_eq!(sum(&text, "http_request_duration_seconds_count", &[]), 1.0);
    assert_eq!(sum(&text, "http_requests_in_flight", &[]), 0.0);
    assert!(text.contains("# HELP http_requests_total "), "{text}");
    assert_eq!(WARNINGS.get(), 1);
}

/// An exchange that starts before there is a recorder and ends after it: counted, and the gauge
/// is not counted down below zero.
#[test]
fn a_recorder_installed_during_an_exchange_counts_it() {
    listen();
    let layer = MetricsLayer::server();
    let (answer, answers) = tokio::sync::oneshot::channel::<()>();
    let mut answers = Some(answers);
    let mut service = layer.layer(service_fn(move |_: Request<()>| {
        let answers = answers.take().unwrap();
        async {
            let _ = answers.await;
            Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new()))
        }
    }));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(Request::new(())));
    assert!(future.as_mut().poll(cx).is_pending());
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        answer.send(()).unwrap();
        assert!(future.as_mut().poll(cx).is_ready());
    });
    let text = prometheus.render();
    assert_eq!(sum(&text, "http_requests_total", &[]), 1.0);
    assert_eq!(sum(&text, "http_requests_in_flight", &[]), 0.0);
}

/// A thread without a recorder does not spoil a series for the threads that have one.
#[test]
fn a_series_first_used_without_a_recorder_is_counted_on_threads_that_have_one() {
    listen();
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
