//! The response future of every layer of the suite.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    End, Exchange, Failure,
    recording::Recording,
    response::{ResponseKind, WrapResponse},
};

pin_project! {
    /// Drives the inner service's future inside the context of its exchange.
    ///
    /// Dropping it before it is ready ends the exchange as [`End::Cancelled`].
    pub struct ResponseFuture<F, E>
    where
        E: Exchange,
    {
        // Empty only while being dropped: that has to happen inside the exchange's context.
        #[pin]
        inner: Option<F>,
        recording: Recording<E>,
        kind: ResponseKind,
    }

    impl<F, E> PinnedDrop for ResponseFuture<F, E>
    where
        E: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.recording.is_open() {
                this.recording.run(|| this.inner.set(None));
            }
        }
    }
}

impl<F, E: Exchange> ResponseFuture<F, E> {
    pub(crate) fn new(inner: F, recording: Recording<E>, kind: ResponseKind) -> Self {
        Self {
            inner: Some(inner),
            recording,
            kind,
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
        match this.recording.run(|| inner.poll(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => {
                Poll::Ready(Ok(response.wrap(this.recording.take(), *this.kind)))
            }
            Poll::Ready(Err(error)) => {
                this.recording.end(End::Failed(Failure::new(&error)));
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<F, E: Exchange> fmt::Debug for ResponseFuture<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("open", &self.recording.is_open())
            .finish_non_exhaustive()
    }
}
