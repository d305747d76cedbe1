//! The response body of all layers that are built on this crate.

use std::{
    fmt,
    io::{Error, ErrorKind},
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_otel_semconv::rpc;

use crate::{End, Exchange, Failure, exchange_guard::ExchangeGuard};

pin_project! {
    /// A response body that ends its exchange. Its frames are those of the inner body.
    ///
    /// The exchange ends with the last frame, with trailers, with an error, or when the body is
    /// dropped. Servers drop a body without polling it past the last byte of its `Content-Length`. So a body that is
    /// dropped after all its bytes is complete, and a body that is dropped before is aborted. A body that ends before all
    /// its bytes has failed, because the peer receives less than the head announced. If its trailers have the status of a
    /// failed gRPC call, the body is complete and the status is the error.
    #[doc(hidden)]
    pub struct ResponseBody<B, E>
    where
        E: Exchange,
    {
        // `None` only while it is dropped. It is dropped in the context of the exchange.
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

/// The error of a body that is shorter than the head announced.
static ENDED_TOO_EARLY: LazyLock<Error> = LazyLock::new(|| {
    const MESSAGE: &str = "the body ended before its announced length";
    Error::new(ErrorKind::InvalidData, MESSAGE)
});

#[cold]
fn is_failed_call(trailers: Option<&HeaderMap>) -> bool {
    trailers.and_then(rpc::status).is_some_and(|code| code != 0)
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
        let (expected, seen) = (*this.expected, this.seen);
        this.guard.run_and_record(
            &mut inner,
            |inner| inner.as_mut().poll_frame(cx),
            |inner, polled| {
                let end_of_body = |seen, trailers| match expected {
                    Some(expected) if seen < expected && !is_failed_call(trailers) => {
                        End::Failed(Failure::new(&*ENDED_TOO_EARLY))
                    }
                    _ => End::Complete { trailers },
                };
                // Also called after an error. If `is_end_stream` panics, the exchange ends as `Panicked`.
                let at_end = polled.is_ready() && inner.is_end_stream();
                match polled {
                    Poll::Pending => (None, None),
                    Poll::Ready(Some(Ok(frame))) => {
                        let bytes = frame.data_ref().map(|data| data.remaining() as u64);
                        *seen = seen.saturating_add(bytes.unwrap_or(0));
                        let trailers = frame.trailers_ref();
                        let ends = at_end || trailers.is_some();
                        (bytes, ends.then(|| end_of_body(*seen, trailers)))
                    }
                    Poll::Ready(Some(Err(error))) => (None, Some(End::Failed(Failure::new(error)))),
                    Poll::Ready(None) => (None, Some(end_of_body(*seen, None))),
                }
            },
        )
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
