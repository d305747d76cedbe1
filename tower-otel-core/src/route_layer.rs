//! A layer that passes the matched route to outer layers.

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::{head::RequestHead, route::Route, route_slot::RouteSlot};

/// A layer that passes the matched route to the layers around a router.
///
/// Add it to a router that is mounted by axum's `nest_service`, or whose trace and metrics layers wrap the
/// whole router. Layers that are added with `Router::layer` read the route themselves.
///
/// It sets the [`RouteSlot`] of the request to the [`Route`] in its extensions, or to axum's `MatchedPath` (feature `axum`).
/// Without a slot, or without a route, it does nothing.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_otel_core::RouteLayer;
///
/// let users: Router = Router::new().route("/users/{id}", get(|| async {})).layer(RouteLayer::new());
/// // The layers of `app` record the route `/api/users/{id}`. Without the `RouteLayer` it would be unknown.
/// let app: Router = Router::new().nest_service("/api", users);
/// # }
/// ```
///
/// A service without routes, such as `ServeDir` of tower-http, has no matched route. Mount it with axum's `nest`, as
/// `Router::new().route_service("/{*file}", folder)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteLayer(());

impl RouteLayer {
    /// Returns a layer for `Router::layer` or `Router::route_layer`.
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

/// The service of a [`RouteLayer`].
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

    fn call(&mut self, mut request: Req) -> Self::Future {
        if let Some(extensions) = request.extensions_mut() {
            let slot = extensions.get::<RouteSlot>();
            if let Some((slot, route)) = slot.zip(Route::matched(extensions)) {
                slot.set(route);
            }
            Route::mark_received(extensions);
        }
        self.inner.call(request)
    }
}
