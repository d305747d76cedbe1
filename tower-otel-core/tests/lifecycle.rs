//! All ends of an exchange, with scripted services and bodies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};

// === the observer ===

/// An observer that records its calls. Its context is a thread-local depth.
#[derive(Clone, Default)]
struct RecordingObserver {
    name: &'static str,
    entries: Arc<Mutex<Vec<String>>>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

fn depth() -> usize {
    DEPTH.get()
}

impl RecordingObserver {
    fn named(&self, name: &'static str) -> Self {
        Self {
            name,
            ..self.clone()
        }
    }

    fn write(&self, entry: String) {
        self.entries
            .lock()
            .unwrap()
            .push(format!("{}{entry}", self.name));
    }

    fn read(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }

    fn ends(&self) -> Vec<String> {
        self.read()
            .into_iter()
            .filter(|entry| entry.starts_with("end"))
            .collect()
    }
}

impl Observe for RecordingObserver {
    type Exchange = RecordingObserver;

    fn start(&self, request: &RequestInfo<'_>, _at: Instant) -> RecordingObserver {
        self.write(format!("start {} depth {}", request.method(), depth()));
        self.clone()
    }
}

struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl Exchange for RecordingObserver {
    type Entered<'a> = Entered;

    fn enter(&mut self) -> Entered {
        DEPTH.set(DEPTH.get() + 1);
        Entered
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        self.write(format!("response {}", response.status().as_u16()));
    }

    fn data(&mut self, bytes: u64) {
        self.write(format!("data {bytes}"));
    }

    fn end(&mut self, end: End<'_>, _at: Instant) {
        self.write(match end {
            End::Complete { trailers: None } => "end complete".into(),
            End::Complete { trailers: Some(_) } => "end complete with trailers".into(),
            End::Upgraded => "end upgraded".into(),
            End::Failed(failure) => format!("end failed: {}", failure.message()),
            End::Cancelled => "end cancelled".into(),
            End::Aborted => "end aborted".into(),
            End::Panicked => "end panicked".into(),
            other => panic!("unexpected end: {other:?}"),
        });
    }
}

// === scripted bodies ===

enum Step {
    Data(&'static str),
    Trailers,
    /// The trailers of a gRPC call that has failed.
    FailedCall,
    Error,
    Pending,
    Panic,
}

/// A body that follows a list of steps.
#[derive(Default)]
struct ScriptedBody {
    steps: VecDeque<Step>,
    /// Whether `is_end_stream` is true after the last step.
    end_stream: bool,
    hint: SizeHint,
    panics_in_is_end_stream: bool,
    panics_in_drop: bool,
}

impl ScriptedBody {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    fn with_end_stream(mut self) -> Self {
        self.end_stream = true;
        self
    }

    fn exactly(mut self, bytes: u64) -> Self {
        self.hint = SizeHint::with_exact(bytes);
        self
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
            }
            Some(step @ (Step::Trailers | Step::FailedCall)) => {
                let mut trailers = HeaderMap::new();
                let failed = matches!(step, Step::FailedCall);
                let status = if failed { "5" } else { "0" };
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Error) => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Panic) => panic!("the body panics"),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        assert!(!self.panics_in_is_end_stream, "is_end_stream panics");
        self.end_stream && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        if self.panics_in_drop {
            panic!("the drop of the body panics");
        }
    }
}

// === running an exchange ===

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).body(()).unwrap()
}

fn respond<B>(
    observer: &RecordingObserver,
    method: Method,
    response: Response<B>,
) -> Response<impl Body<Data = Bytes>>
where
    B: Body<Data = Bytes, Error = std::io::Error>,
{
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<()>| {
        ready(Ok::<_, Infallible>(response.take().expect("one call")))
    });
    let mut service = observe(observer.clone()).layer(inner);
    match poll(pin!(service.call(request(method)))) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("the response is ready"),
    }
}

fn frames(body: &mut (impl Body<Data = Bytes> + Unpin), limit: usize) -> usize {
    let mut frames = 0;
    while frames < limit {
        match Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(_))) => frames += 1,
            _ => break,
        }
    }
    frames
}

/// Responds to `GET` with the body, reads `frames_read` frames of it, drops it and returns the ends.
fn ends_after_reading(scripted: ScriptedBody, frames_read: usize) -> Vec<String> {
    let observer = RecordingObserver::default();
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    frames(&mut body, frames_read);
    drop(body);
    observer.ends()
}

// === the ends of bodies ===

#[test]
fn a_body_read_to_none_is_complete() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]);
    assert_eq!(ends_after_reading(scripted, usize::MAX), ["end complete"]);
}

#[test]
fn a_body_with_end_stream_is_complete_at_its_last_frame() {
    let observer = RecordingObserver::default();
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]).with_end_stream();
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    assert_eq!(frames(&mut body, 1), 1);
    assert!(observer.ends().is_empty(), "one frame is left");
    assert_eq!(frames(&mut body, 1), 1);
    assert_eq!(observer.ends(), ["end complete"], "before another poll");
    assert_eq!(frames(&mut body, 1), 0);
    drop(body);
    assert_eq!(observer.ends(), ["end complete"], "and only once");
}

#[test]
fn trailers_end_the_body_and_are_passed_to_the_observer() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Trailers]);
    assert_eq!(
        ends_after_reading(scripted, 2),
        ["end complete with trailers"]
    );
}

#[test]
fn a_body_error_is_recorded_once_as_a_failure() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Error, Step::Error]);
    assert_eq!(
        ends_after_reading(scripted, usize::MAX),
        ["end failed: broken"]
    );
}

#[test]
fn a_body_dropped_unread_is_aborted() {
    assert_eq!(
        ends_after_reading(ScriptedBody::new([Step::Data("ab")]), 0),
        ["end aborted"]
    );
}

#[test]
fn a_body_dropped_before_its_last_frame_is_aborted() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]).exactly(3);
    assert_eq!(ends_after_reading(scripted, 1), ["end aborted"]);
}

#[test]
fn a_body_of_unknown_length_dropped_before_none_is_aborted() {
    assert_eq!(
        ends_after_reading(ScriptedBody::new([Step::Data("ab")]), 1),
        ["end aborted"]
    );
}

#[test]
fn a_body_dropped_while_pending_is_aborted() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Pending]);
    assert_eq!(ends_after_reading(scripted, usize::MAX), ["end aborted"]);
}

#[test]
fn a_body_of_exact_size_that_is_never_polled_past_its_last_byte_is_complete() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]).exactly(3);
    assert_eq!(ends_after_reading(scripted, 2), ["end complete"]);
}

#[test]
fn trailers_are_read_after_all_bytes_of_an_exact_size() {
    let scripted = ScriptedBody::new([Step::Data("abc"), Step::Trailers]).exactly(3);
    assert_eq!(
        ends_after_reading(scripted, 2),
        ["end complete with trailers"]
    );
}

#[test]
fn a_body_is_complete_after_all_bytes_of_its_content_length() {
    let observer = RecordingObserver::default();
    let mut response = Response::new(ScriptedBody::new([Step::Data("abc")]));
    let length = HeaderValue::from_static("3");
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    let mut body = Box::pin(respond(&observer, Method::GET, response).into_body());
    frames(&mut body, 1);
    drop(body);
    assert_eq!(observer.ends(), ["end complete"]);
}

#[test]
fn an_empty_body_is_complete_at_the_head() {
    let observer = RecordingObserver::default();
    let response = respond(
        &observer,
        Method::GET,
        Response::new(ScriptedBody::default().with_end_stream()),
    );
    assert_eq!(
        observer.ends(),
        ["end complete"],
        "before the response is dropped"
    );
    drop(response);
    assert_eq!(observer.ends(), ["end complete"]);
}

#[test]
fn a_body_that_panics_ends_once_and_the_panic_continues() {
    let observer = RecordingObserver::default();
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Panic]);
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    assert_eq!(frames(&mut body, 1), 1);
    let panicked = catch_unwind(AssertUnwindSafe(|| frames(&mut body, 1)));
    assert!(panicked.is_err(), "the panic is not swallowed");
    drop(body);
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_response_whose_body_panics_is_not_recorded() {
    let observer = RecordingObserver::default();
    let mut scripted = ScriptedBody::new([Step::Data("ab")]);
    scripted.panics_in_is_end_stream = true;
    let response = Response::new(scripted);
    let responded = catch_unwind(AssertUnwindSafe(|| {
        drop(respond(&observer, Method::GET, response));
    }));
    assert!(responded.is_err());
    assert_eq!(observer.read(), ["start GET depth 0", "end panicked"]);
}

#[test]
fn a_body_that_panics_when_dropped_ends_once() {
    let observer = RecordingObserver::default();
    let mut scripted = ScriptedBody::new([Step::Data("ab")]);
    scripted.panics_in_drop = true;
    let response = respond(&observer, Method::GET, Response::new(scripted));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(response))).is_err());
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_body_dropped_by_an_unrelated_panic_is_aborted_not_panicked() {
    let observer = RecordingObserver::default();
    let response = respond(
        &observer,
        Method::GET,
        Response::new(ScriptedBody::new([Step::Pending])),
    );
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _response = response;
        panic!("an unrelated panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(observer.ends(), ["end aborted"]);
}

/// Responds with a `Content-Length` of 3 and this body, reads it to its end and returns the ends.
fn ends_with_content_length(scripted: ScriptedBody) -> Vec<String> {
    let observer = RecordingObserver::default();
    let mut response = Response::new(scripted);
    let length = HeaderValue::from_static("3");
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    let mut body = Box::pin(respond(&observer, Method::GET, response).into_body());
    frames(&mut body, usize::MAX);
    drop(body);
    observer.ends()
}

#[test]
fn a_body_that_is_shorter_than_its_announced_length_fails() {
    let failed = ["end failed: the body ended before its announced length"];
    for steps in [
        || vec![],
        || vec![Step::Data("ab")],
        || vec![Step::Data("a"), Step::Data("b")],
        || vec![Step::Data("ab"), Step::Trailers],
    ] {
        assert_eq!(ends_with_content_length(ScriptedBody::new(steps())), failed);
        let exact = ScriptedBody::new(steps()).exactly(3);
        assert_eq!(ends_after_reading(exact, usize::MAX), failed);
    }
    let last = ScriptedBody::new([Step::Data("ab")]).with_end_stream();
    assert_eq!(ends_with_content_length(last), failed);
}

#[test]
fn a_short_body_ends_with_the_status_of_a_grpc_call_that_has_failed() {
    let steps = || [Step::Data("ab"), Step::FailedCall];
    let complete = ["end complete with trailers"];
    assert_eq!(
        ends_with_content_length(ScriptedBody::new(steps())),
        complete
    );
    let exact = ScriptedBody::new(steps()).exactly(3);
    assert_eq!(ends_after_reading(exact, usize::MAX), complete);
}

#[test]
fn a_body_with_its_announced_length_or_more_is_complete() {
    for steps in [
        vec![Step::Data("abc")],
        vec![Step::Data("ab"), Step::Data("c")],
        vec![Step::Data("abcd")],
    ] {
        assert_eq!(
            ends_with_content_length(ScriptedBody::new(steps)),
            ["end complete"]
        );
    }
    let trailers = ScriptedBody::new([Step::Data("abc"), Step::Trailers]);
    assert_eq!(
        ends_with_content_length(trailers),
        ["end complete with trailers"]
    );
}

/// Data whose length panics.
struct PanickingData;

impl Buf for PanickingData {
    fn remaining(&self) -> usize {
        panic!("remaining panics");
    }

    fn chunk(&self) -> &[u8] {
        &[]
    }

    fn advance(&mut self, _: usize) {}
}

#[test]
fn data_that_panics_ends_the_exchange_as_panicked() {
    struct OneFrame;
    impl Body for OneFrame {
        type Data = PanickingData;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<PanickingData>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(PanickingData))))
        }
    }

    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(OneFrame))));
    let mut service = observe(observer.clone()).layer(inner);
    let Poll::Ready(Ok(response)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the response is ready");
    };
    let mut body = Box::pin(response.into_body());
    let mut poll = || {
        body.as_mut()
            .poll_frame(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    };
    assert!(catch_unwind(AssertUnwindSafe(&mut poll)).is_err());
    drop(body);
    assert_eq!(observer.ends(), ["end panicked"]);
}

// === ends at the head ===

#[test]
fn responses_that_cannot_have_a_body_are_complete_at_the_head() {
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::HEAD, StatusCode::NOT_FOUND),
        (Method::GET, StatusCode::NO_CONTENT),
        (Method::GET, StatusCode::NOT_MODIFIED),
        (Method::GET, StatusCode::EARLY_HINTS),
    ] {
        let observer = RecordingObserver::default();
        let mut response = Response::new(ScriptedBody::new([Step::Data("ab")]));
        *response.status_mut() = status;
        let _response = respond(&observer, method.clone(), response);
        assert_eq!(observer.ends(), ["end complete"], "{method} {status}");
    }
}

#[test]
fn an_upgrade_ends_at_its_handshake_as_upgraded() {
    for (method, status, end) in [
        (Method::GET, StatusCode::SWITCHING_PROTOCOLS, "end upgraded"),
        (Method::CONNECT, StatusCode::OK, "end upgraded"),
        (Method::CONNECT, StatusCode::FORBIDDEN, "end aborted"),
    ] {
        let observer = RecordingObserver::default();
        let mut response = Response::new(ScriptedBody::new([Step::Data("ab")]));
        *response.status_mut() = status;
        drop(respond(&observer, method.clone(), response));
        assert_eq!(observer.ends(), [end], "{method} {status}");
    }
}

// === the ends of futures ===

#[test]
fn a_failed_service_ends_once_and_its_error_is_unchanged() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| {
        ready(Err::<Response<ScriptedBody>, _>(std::io::Error::other(
            "no",
        )))
    });
    let mut service = observe(observer.clone()).layer(inner);
    let Poll::Ready(Err(error)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the service fails");
    };
    assert_eq!(error.to_string(), "no");
    assert_eq!(observer.read(), ["start GET depth 0", "end failed: no"]);
}

#[test]
fn a_future_dropped_before_its_response_is_cancelled() {
    let observer = RecordingObserver::default();
    let inner =
        service_fn(|_: Request<()>| pending::<Result<Response<ScriptedBody>, Infallible>>());
    let mut service = observe(observer.clone()).layer(inner);
    {
        let mut future = pin!(service.call(request(Method::GET)));
        assert!(poll(future.as_mut()).is_pending());
    }
    drop(service.call(request(Method::GET)));
    assert_eq!(observer.ends(), ["end cancelled", "end cancelled"]);
}

#[test]
fn a_panic_in_call_ends_the_exchange() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| {
        if true {
            panic!("call panics");
        }
        ready(Ok::<Response<ScriptedBody>, Infallible>(Response::default()))
    });
    let mut service = observe(observer.clone()).layer(inner);
    let call = catch_unwind(AssertUnwindSafe(|| {
        drop(service.call(request(Method::GET)))
    }));
    assert!(call.is_err());
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_future_that_is_polled_after_a_panic_panics_again() {
    #[derive(Clone)]
    struct Panics;
    impl Observe for Panics {
        type Exchange = RecordingObserver;

        fn start(&self, _request: &RequestInfo<'_>, _at: Instant) -> RecordingObserver {
            panic!("start panics");
        }
    }
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(ScriptedBody::default())))
    });
    let mut service = observe(Panics).layer(inner);
    let mut future = Box::pin(service.call(request(Method::GET)));
    for expected in [
        "start panics",
        "the future was polled after it had panicked",
    ] {
        let polled = catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()).is_ready()));
        let payload = polled.expect_err(expected);
        assert_eq!(payload.downcast_ref::<&str>(), Some(&expected));
    }
}

#[test]
fn a_panic_while_polling_ends_the_exchange_once() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| async {
        if true {
            panic!("poll panics");
        }
        Ok::<Response<ScriptedBody>, Infallible>(Response::default())
    });
    let mut service = observe(observer.clone()).layer(inner);
    let mut future = Box::pin(service.call(request(Method::GET)));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
    drop(future);
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_future_dropped_by_an_unrelated_panic_is_cancelled() {
    let observer = RecordingObserver::default();
    let inner =
        service_fn(|_: Request<()>| pending::<Result<Response<ScriptedBody>, Infallible>>());
    let mut service = observe(observer.clone()).layer(inner);
    let future = service.call(request(Method::GET));
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _future = future;
        panic!("an unrelated panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(observer.ends(), ["end cancelled"]);
}

// === the context ===

#[test]
fn inner_code_runs_inside_the_context_and_outer_code_outside() {
    struct Probe(Arc<Mutex<Vec<(&'static str, usize)>>>);
    impl Probe {
        fn record(&self, place: &'static str) {
            self.0.lock().unwrap().push((place, depth()));
        }
    }
    impl Drop for Probe {
        fn drop(&mut self) {
            self.record("drop");
        }
    }

    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_service = seen.clone();
    let inner = service_fn(move |_: Request<()>| {
        let probe = Probe(seen_by_service.clone());
        probe.record("call");
        async move {
            probe.record("poll");
            pending::<()>().await;
            Ok::<Response<ScriptedBody>, Infallible>(Response::default())
        }
    });
    let mut service = observe(RecordingObserver::default()).layer(inner);
    let mut future = Box::pin(service.call(request(Method::GET)));
    assert_eq!(depth(), 0);
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(depth(), 0);
    drop(future);
    assert_eq!(depth(), 0);
    assert_eq!(
        *seen.lock().unwrap(),
        [("call", 1), ("poll", 1), ("drop", 1)]
    );
}

#[test]
fn the_first_of_two_observers_is_the_outer_one() {
    let observer = RecordingObserver::default();
    let observers = (observer.named("a "), observer.named("b "));
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new([Step::Data("x")]).with_end_stream(),
        )))
    });
    let mut service = observe(observers).layer(inner);
    let Poll::Ready(Ok(response)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the response is ready");
    };
    let mut body = Box::pin(response.into_body());
    frames(&mut body, 1);
    assert_eq!(
        observer.read(),
        [
            "a start GET depth 0",
            "b start GET depth 1",
            "b response 200",
            "a response 200",
            "b data 1",
            "a data 1",
            "b end complete",
            "a end complete",
        ]
    );
}

#[test]
fn an_observer_that_panics_does_not_prevent_the_end_of_the_outer_observer() {
    #[derive(Clone)]
    struct Panics {
        at_start: bool,
    }
    impl Observe for Panics {
        type Exchange = PanicsAtTheEnd;

        fn start(&self, _request: &RequestInfo<'_>, _at: Instant) -> PanicsAtTheEnd {
            assert!(!self.at_start, "start panics");
            PanicsAtTheEnd
        }
    }
    struct PanicsAtTheEnd;
    impl Exchange for PanicsAtTheEnd {
        type Entered<'a> = ();

        fn enter(&mut self) {}

        fn response(&mut self, _response: &dyn ResponseHead) {}

        fn end(&mut self, _end: End<'_>, _at: Instant) {
            panic!("end panics");
        }
    }

    for (at_start, end) in [(true, "end panicked"), (false, "end complete")] {
        let observer = RecordingObserver::default();
        let inner = service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(
                ScriptedBody::default().with_end_stream(),
            )))
        });
        let mut service = observe((observer.clone(), Panics { at_start })).layer(inner);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = poll(pin!(service.call(request(Method::GET))));
        }));
        assert!(panicked.is_err());
        assert_eq!(observer.ends(), [end]);
        assert_eq!(depth(), 0, "its context is exited");
    }
}

#[test]
fn the_end_enters_the_context_only_for_an_inner_observer() {
    #[derive(Clone, Default)]
    struct Entries(Rc<Cell<u32>>);
    impl Observe for Entries {
        type Exchange = Self;

        fn start(&self, _request: &RequestInfo<'_>, _at: Instant) -> Self {
            self.clone()
        }
    }
    impl Exchange for Entries {
        type Entered<'a> = ();

        fn enter(&mut self) {
            self.0.set(self.0.get() + 1);
        }

        fn response(&mut self, _response: &dyn ResponseHead) {}

        fn end(&mut self, _end: End<'_>, _at: Instant) {}
    }
    struct Nothing;
    impl Observe for Nothing {
        type Exchange = ();

        fn start(&self, _request: &RequestInfo<'_>, _at: Instant) {}

        fn reads_context(&self) -> bool {
            false
        }
    }
    fn entries_at_the_end(observe: impl FnOnce(Entries, &RequestInfo<'_>)) -> u32 {
        let entries = Entries::default();
        observe(entries.clone(), &RequestInfo::new(&request(Method::GET)));
        entries.0.get()
    }

    let unobserved = entries_at_the_end(|entries, request| {
        let mut exchange = (entries, Nothing).start(request, Instant::now());
        exchange.end(End::Aborted, Instant::now());
    });
    assert_eq!(unobserved, 0);

    let observer = RecordingObserver::default();
    let observed = entries_at_the_end(|entries, request| {
        let started = entries.0.clone();
        let mut exchange = (entries, (Nothing, observer.clone())).start(request, Instant::now());
        started.set(0);
        exchange.end(End::Aborted, Instant::now());
    });
    assert_eq!(observed, 1);
    assert_eq!(observer.ends(), ["end aborted"]);
}

// === forwarding ===

#[test]
fn size_hint_and_is_end_stream_are_those_of_the_inner_body() {
    let observer = RecordingObserver::default();
    let scripted = ScriptedBody::new([Step::Data("abc")])
        .with_end_stream()
        .exactly(3);
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    frames(&mut body, 1);
    assert!(body.is_end_stream());

    let mut scripted = ScriptedBody::new([Step::Data("abc")]);
    scripted.hint.set_lower(2);
    scripted.hint.set_upper(9);
    let response = respond(&observer, Method::GET, Response::new(scripted));
    let hint = response.body().size_hint();
    assert_eq!((hint.lower(), hint.upper()), (2, Some(9)));
}

#[test]
fn two_exchanges_of_one_service_are_independent() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new([Step::Data("x")]).with_end_stream(),
        )))
    });
    let mut service = observe(observer.clone()).layer(inner);
    let first = service.call(request(Method::GET));
    let mut second = Box::pin(service.call(request(Method::GET)));
    drop(first);
    assert_eq!(observer.ends(), ["end cancelled"]);
    let Poll::Ready(Ok(response)) = poll(second.as_mut()) else {
        panic!("the response is ready");
    };
    frames(&mut Box::pin(response.into_body()), 1);
    assert_eq!(observer.ends(), ["end cancelled", "end complete"]);
}

#[test]
fn wrappers_are_send_and_sync_if_their_parts_are() {
    fn send_sync<T: Send + Sync>() {}
    send_sync::<tower_otel_core::ResponseBody<ScriptedBody, ()>>();
    fn future_is_send_sync<S: Service<Request<()>, Future: Send + Sync>>(_: S) {}
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(ScriptedBody::default())))
    });
    future_is_send_sync(observe(RecordingObserver::default()).layer(inner));
    send_sync::<tower_otel_core::Observed<(), ()>>();
}
