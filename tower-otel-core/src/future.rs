//! The response future of all layers that are built on this crate.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    end::{End, Failure},
    exchange_guard::ExchangeGuard,
    observe::Exchange,
    response::{BodyExpectation, WrapResponse},
    unwinding::PanicPayload,
};

/// The message of the panic if a future is polled again after its panic.
const POLLED_AGAIN: &str = "the future was polled after it had panicked";

pin_project! {
    /// Polls the future of the inner service in the context of its exchange.
    ///
    /// If it is dropped before it is ready, the exchange ends as [`End::Cancelled`]. If a function of the application has
    /// panicked in `call`, the exchange has ended, and the first poll resumes the panic. Later polls panic, too.
    pub struct ResponseFuture<F, E>
    where
        E: Exchange,
    {
        #[pin]
        inner: InnerFuture<F>,
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
                this.guard.run(|| this.inner.set(InnerFuture::Gone));
            }
        }
    }
}

pin_project! {
    #[project = InnerFutureProjection]
    enum InnerFuture<F> {
        Called {
            #[pin]
            future: F,
        },
        // The inner service was not called. A mutex is `Sync`, unlike the panic.
        Panicked {
            panic: Option<Box<Mutex<PanicPayload>>>,
        },
        // Only while it is dropped. It is dropped in the context of the exchange.
        Gone,
    }
}

impl<F, E: Exchange> ResponseFuture<F, E> {
    pub(crate) fn new(inner: F, guard: ExchangeGuard<E>, expectation: BodyExpectation) -> Self {
        Self {
            inner: InnerFuture::Called { future: inner },
            guard,
            expectation,
        }
    }

    /// Returns a future that panics when it is polled. So the panic reaches the caller, also if a worker such as that of
    /// `tower::buffer` calls the service.
    #[cold]
    pub(crate) fn panicked(panic: PanicPayload, expectation: BodyExpectation) -> Self {
        Self {
            inner: InnerFuture::Panicked {
                panic: Some(Box::new(Mutex::new(panic))),
            },
            guard: ExchangeGuard::ended(),
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
        let inner = match this.inner.project() {
            InnerFutureProjection::Called { future } => future,
            InnerFutureProjection::Panicked { panic } => {
                // Panics again, like an `async fn`. A pending future without a wake-up would block its caller forever.
                let again = || Mutex::new(Box::new(POLLED_AGAIN) as PanicPayload);
                let panic = panic.take().map_or_else(again, |panic| *panic);
                resume_unwind(panic.into_inner().unwrap_or_else(PoisonError::into_inner));
            }
            InnerFutureProjection::Gone => return Poll::Pending,
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
