//! A layer that follows an exchange from the request to the end of the body.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use tower::{Layer, Service};

use super::counts::Outcome;

/// What is recorded of an exchange.
pub trait Hook: Clone {
    /// The state of an exchange.
    type State: Send + 'static;

    /// Starts an exchange.
    fn start(&self, request: &Request) -> Self::State;

    /// Calls a function in the context of the exchange.
    fn within<T>(state: &mut Self::State, function: impl FnOnce() -> T) -> T;

    /// Records the status of the response.
    fn status(state: &mut Self::State, status: StatusCode);

    /// Ends the exchange.
    fn end(state: Self::State, outcome: Outcome);
}

/// The state of an exchange that has not ended.
struct Open<H: Hook>(Option<H::State>);

impl<H: Hook> Open<H> {
    /// Calls foreign code. If it panics, the exchange ends.
    fn within<T>(&mut self, function: impl FnOnce() -> T) -> T {
        struct Unwinding<'a, H: Hook>(&'a mut Open<H>);
        impl<H: Hook> Drop for Unwinding<'_, H> {
            fn drop(&mut self) {
                self.0.end(Outcome::Panicked);
            }
        }
        let unwinding = Unwinding(self);
        let output = match &mut unwinding.0.0 {
            Some(state) => H::within(state, function),
            None => function(),
        };
        mem::forget(unwinding);
        output
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(state) = self.0.take() {
            H::end(state, outcome);
        }
    }
}

impl<H: Hook> Drop for Open<H> {
    #[inline]
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

/// The layer.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLayer<H>(pub H);

/// The service of the layer.
#[derive(Clone, Debug)]
pub struct ExchangeService<S, H> {
    inner: S,
    hook: H,
}

impl<S, H: Clone> Layer<S> for ExchangeLayer<H> {
    type Service = ExchangeService<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        ExchangeService {
            inner,
            hook: self.0.clone(),
        }
    }
}

impl<S, H: Hook> Service<Request> for ExchangeService<S, H>
where
    S: Service<Request, Response = Response, Future: Unpin>,
{
    type Response = Response<FollowedBody<H>>;
    type Error = S::Error;
    type Future = ExchangeFuture<S::Future, H>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let mut open = Open::<H>(Some(self.hook.start(&request)));
        let future = open.within(|| self.inner.call(request));
        ExchangeFuture {
            future,
            open: Some(open),
        }
    }
}

/// The future of the service.
pub struct ExchangeFuture<F, H: Hook> {
    future: F,
    open: Option<Open<H>>,
}

impl<F: Unpin, H: Hook> Unpin for ExchangeFuture<F, H> {}

impl<F, E, H: Hook> Future for ExchangeFuture<F, H>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response<FollowedBody<H>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { future, open } = self.get_mut();
        let Some(state) = open else {
            return Poll::Pending;
        };
        let output = ready!(state.within(|| Pin::new(future).poll(cx)));
        let Some(mut open) = open.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match output {
            Ok(response) => {
                if let Some(state) = &mut open.0 {
                    H::status(state, response.status());
                }
                let expected = response.body().size_hint().exact();
                if response.body().is_end_stream() {
                    open.end(Outcome::Complete);
                }
                Ok(response.map(|inner| FollowedBody {
                    inner,
                    open,
                    expected,
                    seen: 0,
                }))
            }
            Err(error) => {
                open.end(Outcome::Failed);
                Err(error)
            }
        })
    }
}

/// The body of the response.
pub struct FollowedBody<H: Hook> {
    inner: Body,
    open: Open<H>,
    expected: Option<u64>,
    seen: u64,
}

impl<H: Hook> Unpin for FollowedBody<H> {}

impl<H: Hook> http_body::Body for FollowedBody<H> {
    type Data = Bytes;
    type Error = axum::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self {
            inner, open, seen, ..
        } = self.get_mut();
        let polled = open.within(|| Pin::new(&mut *inner).poll_frame(cx));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                *seen += frame.data_ref().map_or(0, |data| data.len() as u64);
                if frame.is_trailers() || inner.is_end_stream() {
                    open.end(Outcome::Complete);
                }
            }
            Poll::Ready(Some(Err(_))) => open.end(Outcome::Failed),
            Poll::Ready(None) => open.end(Outcome::Complete),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<H: Hook> Drop for FollowedBody<H> {
    #[inline]
    fn drop(&mut self) {
        if self.expected.is_some_and(|expected| self.seen >= expected) {
            self.open.end(Outcome::Complete);
        }
    }
}

impl<H: Hook> std::fmt::Debug for FollowedBody<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowedBody").finish_non_exhaustive()
    }
}
