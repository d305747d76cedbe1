//! The service of all layers that are built on this crate.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    foreign::runs_code_in_call,
    future::ResponseFuture,
    head::RequestHead,
    observe::{Exchange, Observe},
    response::{BodyExpectation, WrapResponse},
    start::start,
    unwinding::catch_panic,
};

/// A service whose exchanges are observed.
///
/// Readiness and errors are those of the inner service. The response body is wrapped to observe its end.
///
/// If a function of the application panics, such as a filter, the inner service is not called, and the returned future panics
/// when it is polled. `call` panics only if the inner service does.
#[derive(Clone, Debug)]
pub struct Observed<S, O> {
    inner: S,
    // Servers clone the service for each request, so all observers have one reference count.
    observer: Arc<O>,
}

impl<S, O> Observed<S, O> {
    /// Observes the exchanges of a service.
    #[doc(hidden)]
    pub fn new(inner: S, observer: O) -> Self {
        Self {
            inner,
            observer: Arc::new(observer),
        }
    }
}

impl<S, O, Req> Service<Req> for Observed<S, O>
where
    S: Service<Req, Response: WrapResponse<O::Exchange>, Error: fmt::Display + 'static>,
    O: Observe,
    Req: RequestHead,
{
    type Response = <S::Response as WrapResponse<O::Exchange>>::Wrapped;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, O::Exchange>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let Self { inner, observer } = self;
        let expectation = BodyExpectation::of(request.method());
        let mut guard = match start(&**observer, &mut request) {
            Ok(guard) => guard,
            Err(panic) => return ResponseFuture::panicked(panic, expectation),
        };
        let mut unwinding = guard.end_on_unwind();
        // A block, because a closure would move the request and the future.
        let future = {
            let is_entered = !O::Exchange::ONLY_RECORDS || runs_code_in_call::<S>();
            let entered = if is_entered { unwinding.enter() } else { None };
            if let Err(panic) = catch_panic(|| observer.send(&mut request)) {
                drop(entered);
                unwinding.disarm();
                guard.end_after_panic();
                return ResponseFuture::panicked(panic, expectation);
            }
            inner.call(request)
        };
        unwinding.disarm();
        ResponseFuture::new(future, guard, expectation)
    }
}
