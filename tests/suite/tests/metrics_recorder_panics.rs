//! A recorder of the `metrics` facade panics: no exchange stays in flight.

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
    vec,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{Empty, StreamBody};
use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use suite_tests::in_process::poll_to_end;
use tokio_stream::{Iter, iter};
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names};

/// The point at which the recorder panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    /// When the series of an ended exchange is registered.
    Registration,
    /// When a sample is recorded.
    Sample,
    /// When a sample is recorded, and when the gauge is decremented after that.
    SampleAndGauge,
    /// When a gauge is registered.
    GaugeRegistration,
}

/// The points at which the recorder panics in an exchange whose gauge exists.
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
    fn new(panics: Panics) -> Self {
        Self {
            panics,
            is_armed: Arc::default(),
            in_flight: Arc::default(),
        }
    }

    fn arm(&self, is_armed: bool) {
        self.is_armed.store(is_armed, SeqCst);
    }

    fn in_flight(&self) -> i64 {
        self.in_flight.load(SeqCst)
    }

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
        let panics = self.panics == Panics::GaugeRegistration && self.is_armed.load(SeqCst);
        assert!(!panics, "the registration of a gauge");
        Gauge::from_arc(self.cell(self.panics == Panics::SampleAndGauge))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        let panics = self.panics == Panics::Registration && self.is_armed.load(SeqCst);
        assert!(!panics, "the registration");
        let panics = matches!(self.panics, Panics::Sample | Panics::SampleAndGauge);
        Histogram::from_arc(self.cell(panics))
    }
}

fn request(path: &str, content_type: &str) -> Request<Empty<Bytes>> {
    Request::post(format!("http://shop.internal:8080{path}"))
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, content_type)
        .body(Empty::new())
        .unwrap()
}

/// Makes an exchange. Returns whether it panicked.
fn exchange<S, B>(service: &mut S, path: &str, content_type: &str) -> bool
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    let request = request(path, content_type);
    let exchange = AssertUnwindSafe(|| poll_to_end(service, request));
    catch_unwind(exchange).is_err()
}

type Frames = Iter<vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// Responds with the status of the call in the head, or, by the name of the method, in trailers or after a
/// message.
fn respond(request: &Request<Empty<Bytes>>) -> Response<StreamBody<Frames>> {
    let path = request.uri().path();
    assert!(!path.ends_with("panic"), "the handler");
    let status = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), 0.into())]);
    let message = path
        .ends_with("message")
        .then(|| Frame::data(Bytes::from("a")));
    let trailers = path
        .ends_with("trailers")
        .then(|| Frame::trailers(status.clone()));
    let frames: Vec<_> = message.into_iter().chain(trailers).map(Ok).collect();
    let has_frames = !frames.is_empty();
    let mut response = Response::new(StreamBody::new(iter(frames)));
    if !has_frames {
        response.headers_mut().extend(status);
    }
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[test]
fn a_recorder_that_panics_at_the_end_of_an_exchange_leaves_nothing_in_flight() {
    for panics in PANICS {
        for names in [Names::Short, Names::Conventions] {
            for layer in [MetricsLayer::server(), MetricsLayer::client()] {
                let recorder = PanickingRecorder::new(panics);
                let answer = |request| ready(Ok::<_, Infallible>(respond(&request)));
                let layer = layer.names(names).grpc();
                let mut service = layer.layer(service_fn(answer));
                let case = format!("{panics:?}, {names:?}");
                with_local_recorder(&recorder, || {
                    for kind in ["application/json", "application/grpc"] {
                        recorder.arm(false);
                        assert!(!exchange(&mut service, "/a.Service/known", kind));
                        recorder.arm(true);
                        // With a known series, the recorder panics only when a sample is recorded.
                        let panicked = exchange(&mut service, "/a.Service/known", kind);
                        assert_eq!(panicked, panics != Panics::Registration, "{case}");
                        assert_eq!(recorder.in_flight(), 0, "{case}");
                        // The recorder panics while the panic of the handler unwinds.
                        assert!(exchange(&mut service, "/a.Service/panic", kind));
                        assert_eq!(recorder.in_flight(), 0, "{case}");
                    }
                });
            }
        }
    }
}

#[test]
fn a_recorder_that_panics_while_a_method_becomes_known_leaves_nothing_in_flight() {
    let all = PANICS.into_iter().chain([Panics::GaugeRegistration]);
    for panics in all {
        for answer in ["head", "trailers", "message"] {
            let recorder = PanickingRecorder::new(panics);
            let layer = MetricsLayer::server().grpc();
            let respond = |request| ready(Ok::<_, Infallible>(respond(&request)));
            let mut service = layer.layer(service_fn(respond));
            with_local_recorder(&recorder, || {
                let call = |service: &mut _, path| exchange(service, path, "application/grpc");
                // The call registers the gauge of unknown methods.
                assert!(call(&mut service, "/a.Service/panic"));
                recorder.arm(true);
                let path = format!("/a.Service/{answer}");
                assert!(call(&mut service, &path), "{panics:?}, {answer}");
                assert_eq!(recorder.in_flight(), 0, "{panics:?}, {answer}");
                recorder.arm(false);
                assert!(!call(&mut service, &path));
                assert_eq!(recorder.in_flight(), 0, "{panics:?}, {answer}");
            });
        }
    }
}

#[test]
fn a_recorder_that_panics_does_not_lose_the_message_of_a_call() {
    let recorder = PanickingRecorder::new(Panics::GaugeRegistration);
    let respond = |request| ready(Ok::<_, Infallible>(respond(&request)));
    let mut service = MetricsLayer::server().grpc().layer(service_fn(respond));
    with_local_recorder(&recorder, || {
        let cx = &mut Context::from_waker(Waker::noop());
        let request = request("/a.Service/message", "application/grpc");
        let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(cx) else {
            panic!("no response");
        };
        let mut body = Box::pin(response.into_body());
        recorder.arm(true);
        let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(cx) else {
            panic!("no message");
        };
        assert_eq!(frame.into_data().unwrap(), "a");
        assert_eq!(recorder.in_flight(), 1);
        let ended = catch_unwind(AssertUnwindSafe(|| drop(body)));
        assert!(ended.is_err());
        assert_eq!(recorder.in_flight(), 0);
    });
}
