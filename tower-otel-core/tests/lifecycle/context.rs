//! The context of an observer is entered around inner code only.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{pending, ready},
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::Poll,
    time::Instant,
};

use http::{Method, Request, Response};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};

use crate::{
    exchange::{frames, poll, request},
    recording_observer::{RecordingObserver, depth},
    scripted_body::{ScriptedBody, Step},
};

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
