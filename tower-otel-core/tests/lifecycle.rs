//! Every way an exchange can end, over scripted services and bodies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};

// === what was observed ===

/// An observer that writes down what it is told, and whose context is a thread-local depth.
#[derive(Clone, Default)]
struct Diary {
    name: &'static str,
    entries: Arc<Mutex<Vec<String>>>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

fn depth() -> usize {
    DEPTH.get()
}

impl Diary {
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

impl Observe for Diary {
    type Exchange = Diary;

    fn start(&self, request: &RequestInfo<'_>, _at: Instant) -> Diary {
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

impl Exchange for Diary {
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
            other => panic!("an end this test does not know: {other:?}"),
        });
    }
}

// === scripted bodies ===

enum Step {
    Data(&'static str),
    Trailers,
    Error,
    Pending,
    Panic,
}

/// A body that does what it is told, and checks that it is polled and dropped inside a context.
#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    /// Whether it tells that it has ended once its steps are used up.
    tells_its_end: bool,
    hint: SizeHint,
    panics_when_asked: bool,
    panics_when_dropped: bool,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    fn tells_its_end(mut self) -> Self {
        self.tells_its_end = true;
        self
    }

    fn exactly(mut self, bytes: u64) -> Self {
        self.hint = SizeHint::with_exact(bytes);
        self
    }
}

impl Body for Script {
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
            Some(Step::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Error) => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Panic) => panic!("the body panics"),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        assert!(!self.panics_when_asked, "the body panics when asked");
        self.tells_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.panics_when_dropped {
            panic!("the body panics when dropped");
        }
    }
}

// === driving ===

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).body(()).unwrap()
}

fn respond<B>(
    diary: &Diary,
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
    let mut service = observe(diary.clone()).layer(inner);
    match poll(pin!(service.call(request(method)))) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("the response is ready"),
    }
}

fn frames(body: &mut (impl Body<Data = Bytes> + Unpin), most: usize) -> usize {
    let mut frames = 0;
    while frames < most {
        match Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(_))) => frames += 1,
            _ => break,
        }
    }
    frames
}

/// Answers `GET` with the body, reads so many frames of it, drops it, and returns the ends.
fn ends_after(script: Script, frames_read: usize) -> Vec<String> {
    let diary = Diary::default();
    let mut body = Box::pin(respond(&diary, Method::GET, Response::new(script)).into_body());
    frames(&mut body, frames_read);
    drop(body);
    diary.ends()
}

// === the ends of bodies ===

#[test]
fn a_body_read_to_none_is_complete() {
    let script = Script::of([Step::Data("ab"), Step::Data("c")]);
    assert_eq!(ends_after(script, usize::MAX), ["end complete"]);
}

#[test]
fn a_body_that_tells_its_end_is_complete_with_its_last_frame() {
    let diary = Diary::default();
    let script = Script::of([Step::Data("ab"), Step::Data("c")]).tells_its_end();
    let mut body = Box::pin(respond(&diary, Method::GET, Response::new(script)).into_body());
    assert_eq!(frames(&mut body, 1), 1);
    assert!(diary.ends().is_empty(), "one frame is still to come");
    assert_eq!(frames(&mut body, 1), 1);
    assert_eq!(
        diary.ends(),
        ["end complete"],
        "before anybody asks for more"
    );
    assert_eq!(frames(&mut body, 1), 0);
    drop(body);
    assert_eq!(diary.ends(), ["end complete"], "and only once");
}

#[test]
fn trailers_end_the_body_and_are_seen() {
    let script = Script::of([Step::Data("ab"), Step::Trailers]);
    assert_eq!(ends_after(script, 2), ["end complete with trailers"]);
}

#[test]
fn a_body_error_is_a_failure_and_told_once() {
    let script = Script::of([Step::Data("ab"), Step::Error, Step::Error]);
    assert_eq!(ends_after(script, usize::MAX), ["end failed: broken"]);
}

#[test]
fn a_body_dropped_unread_is_aborted() {
    assert_eq!(
        ends_after(Script::of([Step::Data("ab")]), 0),
        ["end aborted"]
    );
}

#[test]
fn a_body_dropped_in_the_middle_is_aborted() {
    let script = Script::of([Step::Data("ab"), Step::Data("c")]).exactly(3);
    assert_eq!(ends_after(script, 1), ["end aborted"]);
}

#[test]
fn a_body_of_unknown_length_dropped_before_none_is_aborted() {
    assert_eq!(
        ends_after(Script::of([Step::Data("ab")]), 1),
        ["end aborted"]
    );
}

#[test]
fn a_body_dropped_while_pending_is_aborted() {
    let script = Script::of([Step::Data("ab"), Step::Pending]);
    assert_eq!(ends_after(script, usize::MAX), ["end aborted"]);
}

#[test]
fn a_body_of_exact_size_that_is_never_polled_past_its_last_byte_is_complete() {
    let script = Script::of([Step::Data("ab"), Step::Data("c")]).exactly(3);
    assert_eq!(ends_after(script, 2), ["end complete"]);
}

#[test]
fn all_bytes_of_an_exact_size_may_still_be_followed_by_trailers() {
    let script = Script::of([Step::Data("abc"), Step::Trailers]).exactly(3);
    assert_eq!(ends_after(script, 2), ["end complete with trailers"]);
}

#[test]
fn all_bytes_of_a_content_length_are_a_complete_body() {
    let diary = Diary::default();
    let mut response = Response::new(Script::of([Step::Data("abc")]));
    let length = HeaderValue::from_static("3");
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    let mut body = Box::pin(respond(&diary, Method::GET, response).into_body());
    frames(&mut body, 1);
    drop(body);
    assert_eq!(diary.ends(), ["end complete"]);
}

#[test]
fn an_empty_body_is_complete_at_the_head() {
    let diary = Diary::default();
    let response = respond(
        &diary,
        Method::GET,
        Response::new(Script::default().tells_its_end()),
    );
    assert_eq!(
        diary.ends(),
        ["end complete"],
        "while the response is still held"
    );
    drop(response);
    assert_eq!(diary.ends(), ["end complete"]);
}

#[test]
fn a_body_that_panics_ends_once_and_panics_on() {
    let diary = Diary::default();
    let script = Script::of([Step::Data("ab"), Step::Panic]);
    let mut body = Box::pin(respond(&diary, Method::GET, Response::new(script)).into_body());
    assert_eq!(frames(&mut body, 1), 1);
    let panicked = catch_unwind(AssertUnwindSafe(|| frames(&mut body, 1)));
    assert!(panicked.is_err(), "the panic is not swallowed");
    drop(body);
    assert_eq!(diary.ends(), ["end panicked"]);
}

#[test]
fn a_response_that_nobody_is_given_is_not_told() {
    let diary = Diary::default();
    let mut script = Script::of([Step::Data("ab")]);
    script.panics_when_asked = true;
    let response = Response::new(script);
    let answered = catch_unwind(AssertUnwindSafe(|| {
        drop(respond(&diary, Method::GET, response));
    }));
    assert!(answered.is_err());
    assert_eq!(diary.read(), ["start GET depth 0", "end panicked"]);
}

#[test]
fn a_body_that_panics_when_dropped_ends_once() {
    let diary = Diary::default();
    let mut script = Script::of([Step::Data("ab")]);
    script.panics_when_dropped = true;
    let response = respond(&diary, Method::GET, Response::new(script));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(response))).is_err());
    assert_eq!(diary.ends(), ["end panicked"]);
}

#[test]
fn a_body_dropped_by_somebody_elses_unwinding_is_aborted_not_panicked() {
    let diary = Diary::default();
    let response = respond(
        &diary,
        Method::GET,
        Response::new(Script::of([Step::Pending])),
    );
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _held = response;
        panic!("not our panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(diary.ends(), ["end aborted"]);
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
        let diary = Diary::default();
        let mut response = Response::new(Script::of([Step::Data("ab")]));
        *response.status_mut() = status;
        let _held = respond(&diary, method.clone(), response);
        assert_eq!(diary.ends(), ["end complete"], "{method} {status}");
    }
}

#[test]
fn an_upgrade_ends_at_its_handshake_and_says_so() {
    for (method, status, end) in [
        (Method::GET, StatusCode::SWITCHING_PROTOCOLS, "end upgraded"),
        (Method::CONNECT, StatusCode::OK, "end upgraded"),
        (Method::CONNECT, StatusCode::FORBIDDEN, "end aborted"),
    ] {
        let diary = Diary::default();
        let mut response = Response::new(Script::of([Step::Data("ab")]));
        *response.status_mut() = status;
        drop(respond(&diary, method.clone(), response));
        assert_eq!(diary.ends(), [end], "{method} {status}");
    }
}

// === the ends of futures ===

#[test]
fn a_failed_service_ends_once_and_its_error_is_untouched() {
    let diary = Diary::default();
    let inner =
        service_fn(|_: Request<()>| ready(Err::<Response<Script>, _>(std::io::Error::other("no"))));
    let mut service = observe(diary.clone()).layer(inner);
    let Poll::Ready(Err(error)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the service fails");
    };
    assert_eq!(error.to_string(), "no");
    assert_eq!(diary.read(), ["start GET depth 0", "end failed: no"]);
}

#[test]
fn a_future_dropped_before_its_response_is_cancelled() {
    let diary = Diary::default();
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<Script>, Infallible>>());
    let mut service = observe(diary.clone()).layer(inner);
    {
        let mut future = pin!(service.call(request(Method::GET)));
        assert!(poll(future.as_mut()).is_pending());
    }
    drop(service.call(request(Method::GET)));
    assert_eq!(diary.ends(), ["end cancelled", "end cancelled"]);
}

#[test]
fn a_panic_in_call_ends_the_exchange() {
    let diary = Diary::default();
    let inner = service_fn(|_: Request<()>| {
        if true {
            panic!("call panics");
        }
        ready(Ok::<Response<Script>, Infallible>(Response::default()))
    });
    let mut service = observe(diary.clone()).layer(inner);
    let call = catch_unwind(AssertUnwindSafe(|| {
        drop(service.call(request(Method::GET)))
    }));
    assert!(call.is_err());
    assert_eq!(diary.ends(), ["end panicked"]);
}

#[test]
fn a_panic_while_polling_ends_the_exchange_once() {
    let diary = Diary::default();
    let inner = service_fn(|_: Request<()>| async {
        if true {
            panic!("poll panics");
        }
        Ok::<Response<Script>, Infallible>(Response::default())
    });
    let mut service = observe(diary.clone()).layer(inner);
    let mut future = Box::pin(service.call(request(Method::GET)));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
    drop(future);
    assert_eq!(diary.ends(), ["end panicked"]);
}

#[test]
fn a_future_dropped_by_somebody_elses_unwinding_is_cancelled() {
    let diary = Diary::default();
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<Script>, Infallible>>());
    let mut service = observe(diary.clone()).layer(inner);
    let future = service.call(request(Method::GET));
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _held = future;
        panic!("not our panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(diary.ends(), ["end cancelled"]);
}

// === the context ===

#[test]
fn foreign_code_runs_inside_the_context_and_leaves_it() {
    struct Probe(Arc<Mutex<Vec<(&'static str, usize)>>>);
    impl Probe {
        fn note(&self, place: &'static str) {
            self.0.lock().unwrap().push((place, depth()));
        }
    }
    impl Drop for Probe {
        fn drop(&mut self) {
            self.note("drop");
        }
    }

    let seen = Arc::new(Mutex::new(Vec::new()));
    let probed = seen.clone();
    let inner = service_fn(move |_: Request<()>| {
        let probe = Probe(probed.clone());
        probe.note("call");
        async move {
            probe.note("poll");
            pending::<()>().await;
            Ok::<Response<Script>, Infallible>(Response::default())
        }
    });
    let mut service = observe(Diary::default()).layer(inner);
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
fn of_two_observers_the_first_is_outside() {
    let diary = Diary::default();
    let both = (diary.named("a "), diary.named("b "));
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(
            Script::of([Step::Data("x")]).tells_its_end(),
        )))
    });
    let mut service = observe(both).layer(inner);
    let Poll::Ready(Ok(response)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the response is ready");
    };
    let mut body = Box::pin(response.into_body());
    frames(&mut body, 1);
    assert_eq!(
        diary.read(),
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
fn an_observer_that_panics_leaves_the_one_outside_of_it_ended() {
    #[derive(Clone)]
    struct Panics {
        at_start: bool,
    }
    impl Observe for Panics {
        type Exchange = PanicsAtTheEnd;

        fn start(&self, _request: &RequestInfo<'_>, _at: Instant) -> PanicsAtTheEnd {
            assert!(!self.at_start, "a filter of somebody's panics");
            PanicsAtTheEnd
        }
    }
    struct PanicsAtTheEnd;
    impl Exchange for PanicsAtTheEnd {
        type Entered<'a> = ();

        fn enter(&mut self) {}

        fn response(&mut self, _response: &dyn ResponseHead) {}

        fn end(&mut self, _end: End<'_>, _at: Instant) {
            panic!("somebody's text of an error panics");
        }
    }

    for (at_start, end) in [(true, "end panicked"), (false, "end complete")] {
        let diary = Diary::default();
        let inner = service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(
                Script::default().tells_its_end(),
            )))
        });
        let mut service = observe((diary.clone(), Panics { at_start })).layer(inner);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = poll(pin!(service.call(request(Method::GET))));
        }));
        assert!(panicked.is_err());
        assert_eq!(diary.ends(), [end]);
        assert_eq!(depth(), 0, "and its context is left");
    }
}

#[test]
fn the_end_is_inside_the_context_only_for_somebody_who_listens() {
    #[derive(Default)]
    struct Entries(u32);
    impl Exchange for Entries {
        type Entered<'a> = ();

        fn enter(&mut self) {
            self.0 += 1;
        }

        fn response(&mut self, _response: &dyn ResponseHead) {}

        fn end(&mut self, _end: End<'_>, _at: Instant) {}
    }

    let mut nobody = (Entries::default(), ());
    nobody.end(End::Aborted, Instant::now());
    assert_eq!(nobody.0.0, 0);

    let mut somebody = (Entries::default(), ((), Diary::default()));
    somebody.end(End::Aborted, Instant::now());
    assert_eq!(somebody.0.0, 1);
    assert_eq!(somebody.1.1.ends(), ["end aborted"]);
}

// === transparency ===

#[test]
fn size_hint_and_end_of_stream_are_those_of_the_body_inside() {
    let diary = Diary::default();
    let script = Script::of([Step::Data("abc")]).tells_its_end().exactly(3);
    let mut body = Box::pin(respond(&diary, Method::GET, Response::new(script)).into_body());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    frames(&mut body, 1);
    assert!(body.is_end_stream());

    let mut script = Script::of([Step::Data("abc")]);
    script.hint.set_lower(2);
    script.hint.set_upper(9);
    let response = respond(&diary, Method::GET, Response::new(script));
    let hint = response.body().size_hint();
    assert_eq!((hint.lower(), hint.upper()), (2, Some(9)));
}

#[test]
fn two_exchanges_of_one_service_do_not_know_of_each_other() {
    let diary = Diary::default();
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(
            Script::of([Step::Data("x")]).tells_its_end(),
        )))
    });
    let mut service = observe(diary.clone()).layer(inner);
    let first = service.call(request(Method::GET));
    let mut second = Box::pin(service.call(request(Method::GET)));
    drop(first);
    assert_eq!(diary.ends(), ["end cancelled"]);
    let Poll::Ready(Ok(response)) = poll(second.as_mut()) else {
        panic!("the response is ready");
    };
    frames(&mut Box::pin(response.into_body()), 1);
    assert_eq!(diary.ends(), ["end cancelled", "end complete"]);
}

#[test]
fn wrapping_adds_no_bound_that_is_not_there() {
    fn send_sync<T: Send + Sync>() {}
    send_sync::<tower_otel_core::ResponseBody<Script, ()>>();
    send_sync::<tower_otel_core::ResponseFuture<std::future::Ready<()>, ()>>();
    send_sync::<tower_otel_core::Observed<(), ()>>();
}
