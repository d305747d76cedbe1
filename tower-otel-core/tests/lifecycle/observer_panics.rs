//! An observer that panics does not prevent the end of the others.

use std::{
    convert::Infallible,
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    time::Instant,
};

use http::{Method, Request, Response};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};

use crate::{
    exchange::{poll, request},
    recording_observer::{RecordingObserver, depth},
    scripted_body::ScriptedBody,
};

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
