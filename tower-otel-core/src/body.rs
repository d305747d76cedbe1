//! The response body of every layer of the suite.

use std::{
    fmt,
    io::{Error, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_otel_semconv::rpc;

use crate::{End, Exchange, Failure, exchange_guard::ExchangeGuard};

pin_project! {
    /// A body that ends its exchange when it ends. Its frames are those of the inner body.
    ///
    /// The exchange ends with the last frame, with trailers, with an error, or when the body is
    /// dropped. Servers drop a body without polling it past the last byte of its `Content-Length`.
    /// A body that is dropped after all its bytes is therefore complete, and one that is dropped before is aborted. A body that
    /// ends before all its bytes has failed, because the peer gets less than the head has announced, unless its trailers have
    /// the status of a gRPC call that has failed: the status is the reason.
    #[doc(hidden)]
    pub struct ResponseBody<B, E>
    where
        E: Exchange,
    {
        // `None` only while it is dropped, which happens in the context of the exchange.
        #[pin]
        inner: Option<B>,
        guard: ExchangeGuard<E>,
        expected: Option<u64>,
        seen: u64,
    }

    impl<B, E> PinnedDrop for ResponseBody<B, E>
    where
        E: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !this.guard.is_open() {
                return;
            }
            // If `is_end_stream` was true after a frame, the exchange has ended already.
            let complete = this.expected.is_some_and(|expected| *this.seen >= expected);
            this.guard.run(|| this.inner.set(None));
            this.guard.end(if complete {
                End::Complete { trailers: None }
            } else {
                End::Aborted
            });
        }
    }
}

impl<B, E: Exchange> ResponseBody<B, E> {
    pub(crate) fn new(inner: B, guard: ExchangeGuard<E>, expected: Option<u64>) -> Self {
        Self {
            inner: Some(inner),
            guard,
            expected,
            seen: 0,
        }
    }
}

/// Ends the exchange of a body that has ended by itself.
#[inline]
fn end_of_body<E: Exchange>(
    guard: &mut ExchangeGuard<E>,
    expected: Option<u64>,
    seen: u64,
    trailers: Option<&HeaderMap>,
) {
    if expected.is_some_and(|expected| seen < expected) && !is_failed_call(trailers) {
        end_too_early(guard);
    } else {
        guard.end(End::Complete { trailers });
    }
}

#[cold]
fn is_failed_call(trailers: Option<&HeaderMap>) -> bool {
    trailers.and_then(rpc::status).is_some_and(|code| code != 0)
}

#[cold]
fn end_too_early<E: Exchange>(guard: &mut ExchangeGuard<E>) {
    const MESSAGE: &str = "the body ended before its announced length";
    let error = Error::new(ErrorKind::InvalidData, MESSAGE);
    guard.end(End::Failed(Failure::new(&error)));
}

impl<B, E> Body for ResponseBody<B, E>
where
    B: Body<Error: fmt::Display + 'static>,
    E: Exchange,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(None);
        };
        if !this.guard.is_open() {
            return inner.poll_frame(cx);
        }
        let polled = this.guard.run(|| inner.as_mut().poll_frame(cx));
        let at_end = polled.is_ready() && this.guard.query(|| inner.is_end_stream());
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let bytes = this.guard.query(|| data.remaining()) as u64;
                    *this.seen = this.seen.saturating_add(bytes);
                    this.guard.data(bytes);
                }
                let trailers = frame.trailers_ref();
                if at_end || trailers.is_some() {
                    end_of_body(this.guard, *this.expected, *this.seen, trailers);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                this.guard.end(End::Failed(Failure::new(error)));
            }
            Poll::Ready(None) => end_of_body(this.guard, *this.expected, *this.seen, None),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

/// A default body belongs to no exchange. Layers that respond without calling the inner service
/// create it.
impl<B: Default, E: Exchange> Default for ResponseBody<B, E> {
    fn default() -> Self {
        Self::new(B::default(), ExchangeGuard::ended(), None)
    }
}

impl<B, E: Exchange> fmt::Debug for ResponseBody<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("open", &self.guard.is_open())
            .field("seen", &self.seen)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
