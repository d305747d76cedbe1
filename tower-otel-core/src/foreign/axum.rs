//! Detects the routes and routers of axum.

use std::any::type_name;

/// Returns whether a service is a route or a router of axum. Their `call` only creates a future, which calls handlers and
/// inner services when it is polled.
///
/// The name is compared, because `TypeId::of` requires a `'static` type.
#[inline]
pub(super) fn is_route<S>() -> bool {
    is_named::<S>("axum::routing::route::Route") || is_named::<S>("axum::routing::Router")
}

#[inline]
fn is_named<S>(path: &str) -> bool {
    // `type_name` omits default type arguments.
    let arguments = type_name::<S>().strip_prefix(path);
    arguments.is_some_and(|arguments| arguments.is_empty() || arguments.starts_with('<'))
}

#[cfg(all(test, feature = "axum"))]
mod tests {
    use std::{
        convert::Infallible,
        future::{Future, ready},
        pin::pin,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        task::{Context, Waker},
    };

    use axum::{Router, body::Body, routing::Route};
    use http::{Request, Response};
    use tower::{Service, layer::layer_fn, service_fn, util::BoxCloneSyncService};

    use super::*;

    #[test]
    fn routes_and_routers_are_known_by_their_names() {
        assert!(is_route::<Route>() && is_route::<Route<String>>());
        assert!(is_route::<Router>() && is_route::<Router<u8>>());
        assert!(!is_route::<Option<Route>>());
        assert!(!is_route::<
            BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
        >());
    }

    #[test]
    fn neither_a_router_nor_a_route_calls_a_service_before_its_future_is_polled() {
        static IS_CALLED: AtomicBool = AtomicBool::new(false);
        let handler = service_fn(|_: Request<Body>| {
            IS_CALLED.store(true, Relaxed);
            ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
        let around_route = layer_fn(|mut route: Route| {
            service_fn(move |request: Request<Body>| {
                let response = route.call(request);
                assert!(!IS_CALLED.load(Relaxed), "by the route");
                response
            })
        });
        let mut router = Router::new()
            .route_service("/", handler)
            .layer(around_route);
        let mut response = pin!(router.call(Request::new(Body::empty())));
        assert!(!IS_CALLED.load(Relaxed), "by the router");
        assert!(
            response
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
        assert!(IS_CALLED.load(Relaxed));
    }
}
