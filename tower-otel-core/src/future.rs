//! The response future of every layer of the suite.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    end::{End, Failure},
    exchange_guard::ExchangeGuard,
    observe::Exchange,
    response::{BodyExpectation, WrapResponse},
};

pin_project! {
    /// Polls the future of the inner service in the context of its exchange.
    ///
    /// If it is dropped before it is ready, the exchange ends as [`End::Cancelled`].
    pub struct ResponseFuture<F, E>
    where
        E: Exchange,
    {
        // `None` only while it is dropped, which happens in the context of the exchange.
        #[pin]
        inner: Option<F>,
        guard: ExchangeGuard<E>,
        expectation: BodyExpectation,
    }

    impl<F, E> PinnedDrop for ResponseFuture<F, E>
    where
        E: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.guard.is_open() {
                this.guard.run(|| this.inner.set(None));
            }
        }
    }
}

impl<F, E: Exchange> ResponseFuture<F, E> {
    pub(crate) fn new(inner: F, guard: ExchangeGuard<E>, expectation: BodyExpectation) -> Self {
        Self {
            inner: Some(inner),
            guard,
            expectation,
        }
    }
}

impl<F, E, Res, Err> Future for ResponseFuture<F, E>
where
    F: Future<Output = Result<Res, Err>>,
    E: Exchange,
    Res: WrapResponse<E>,
    Err: fmt::Display + 'static,
{
    type Output = Result<Res::Wrapped, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Pending;
        };
        match this.guard.run(|| inner.poll(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => {
                Poll::Ready(Ok(response.wrap(this.guard.take(), *this.expectation)))
            }
            Poll::Ready(Err(error)) => {
                this.guard.end(End::Failed(Failure::new(&error)));
                Poll::Ready(Err(error))
            }
        }
    }
}
