//! A recorder of the `metrics` facade that panics: nothing stays in flight.

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
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, Version, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Empty;
use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names};

/// Where the recorder panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    /// When the series of an ended exchange is registered.
    Registration,
    /// When a sample is recorded.
    Sample,
    /// When a sample is recorded, and when the gauge goes down after that.
    SampleAndGauge,
}

const PANICS: [Panics; 3] = [Panics::Registration, Panics::Sample, Panics::SampleAndGauge];

#[derive(Debug)]
struct PanickingRecorder {
    panics: Panics,
    is_armed: Arc<AtomicBool>,
    in_flight: Arc<AtomicI64>,
}

struct Cell {
    panics: bool,
    is_armed: Arc<AtomicBool>,
    in_flight: Arc<AtomicI64>,
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.in_flight.fetch_add(value as i64, SeqCst);
    }

    fn decrement(&self, value: f64) {
        self.in_flight.fetch_sub(value as i64, SeqCst);
        assert!(!self.panics || !self.is_armed.load(SeqCst), "the gauge");
    }

    fn set(&self, _: f64) {
        unreachable!("the layers do not set gauges");
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        assert!(!self.panics || !self.is_armed.load(SeqCst), "the sample");
    }
}

impl PanickingRecorder {
    fn cell(&self, panics: bool) -> Arc<Cell> {
        Arc::new(Cell {
            panics,
            is_armed: Arc::clone(&self.is_armed),
            in_flight: Arc::clone(&self.in_flight),
        })
    }
}

impl Recorder for PanickingRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(self.panics == Panics::SampleAndGauge))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        let panics = self.panics == Panics::Registration && self.is_armed.load(SeqCst);
        assert!(!panics, "the registration");
        Histogram::from_arc(self.cell(self.panics != Panics::Registration))
    }
}

/// Makes an exchange. Returns whether it panicked.
fn exchange<S, B>(service: &mut S, path: &str, content_type: &str) -> bool
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    let request = Request::post(format!("http://shop.internal:8080{path}"))
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, content_type)
        .body(Empty::new())
        .unwrap();
    let exchange = AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut future = pin!(service.call(request));
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
        }
    });
    catch_unwind(exchange).is_err()
}

fn respond(request: &Request<Empty<Bytes>>) -> Response<Empty<Bytes>> {
    assert!(!request.uri().path().ends_with("panic"), "the handler");
    let mut response = Response::new(Empty::new());
    for (name, value) in [("content-type", "application/grpc"), ("grpc-status", "0")] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

#[test]
fn a_recorder_that_panics_at_the_end_of_an_exchange_leaves_nothing_in_flight() {
    for panics in PANICS {
        for names in [Names::Short, Names::Conventions] {
            for layer in [MetricsLayer::server(), MetricsLayer::client()] {
                let is_armed = Arc::new(AtomicBool::new(false));
                let in_flight = Arc::new(AtomicI64::new(0));
                let recorder = PanickingRecorder {
                    panics,
                    is_armed: Arc::clone(&is_armed),
                    in_flight: Arc::clone(&in_flight),
                };
                let answer = |request| ready(Ok::<_, Infallible>(respond(&request)));
                let layer = layer.names(names).grpc();
                let mut service = layer.layer(service_fn(answer));
                let case = format!("{panics:?}, {names:?}");
                with_local_recorder(&recorder, || {
                    for kind in ["application/json", "application/grpc"] {
                        is_armed.store(false, SeqCst);
                        assert!(!exchange(&mut service, "/a.Service/known", kind));
                        is_armed.store(true, SeqCst);
                        // A known series panics only where a sample is recorded.
                        let panicked = exchange(&mut service, "/a.Service/known", kind);
                        assert_eq!(panicked, panics != Panics::Registration, "{case}");
                        assert_eq!(in_flight.load(SeqCst), 0, "{case}");
                        // A panic of the recorder while that of the handler unwinds.
                        assert!(exchange(&mut service, "/a.Service/panic", kind));
                        assert_eq!(in_flight.load(SeqCst), 0, "{case}");
                    }
                });
            }
        }
    }
}
