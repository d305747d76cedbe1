//! Hands the matched route to observers further out.

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::{RequestHead, Route, RouteSlot};

/// Tells observers outside of a router which of its routes matched.
///
/// Put it on a router that is mounted by `nest_service`, or whose observers sit around the whole
/// of it; layers inside the router see the route by themselves.
///
/// It reads [`Route::matched`] and fills the [`RouteSlot`] that the observers left. Without a
/// slot, or without a match, it does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteLayer(());

impl RouteLayer {
    /// A layer for `Router::layer` or `Router::route_layer`.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = RouteService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RouteService { inner }
    }
}

/// The service that [`RouteLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct RouteService<S> {
    inner: S,
}

impl<S, Req> Service<Req> for RouteService<S>
where
    S: Service<Req>,
    Req: RequestHead,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let slot = request
            .extensions()
            .and_then(|extensions| extensions.get::<RouteSlot>());
        if let Some((slot, route)) = slot.zip(Route::matched(&request)) {
            slot.set(route);
        }
        self.inner.call(request)
    }
}
