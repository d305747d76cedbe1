//! The service of every layer of the suite.

use std::{
    fmt,
    task::{Context, Poll},
    time::Instant,
};

use tower_service::Service;

use crate::{
    Observe, RequestHead, future::ResponseFuture, recording::Recording, response::ResponseKind,
    response::WrapResponse,
};

/// A service whose exchanges are watched by an observer.
///
/// It is ready when the inner service is, fails as it fails, and answers what it answers: only
/// the body of the response is wrapped, to see it end.
#[derive(Clone, Copy, Debug)]
pub struct Observed<S, O> {
    inner: S,
    observer: O,
}

impl<S, O> Observed<S, O> {
    /// Watches the exchanges of a service.
    pub const fn new(inner: S, observer: O) -> Self {
        Self { inner, observer }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, no longer watched.
    pub fn into_inner(self) -> S {
        self.inner
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
        let kind = ResponseKind::by(request.method());
        let mut recording = Recording::new(observer.start(&mut request, Instant::now()));
        let future = recording.run(|| inner.call(request));
        ResponseFuture::new(future, recording, kind)
    }
}
