//! A route that becomes known after the exchange has started.

use std::sync::{Arc, Mutex, PoisonError};

use crate::route::Route;

/// A request extension in which a router or a handler sets the route.
///
/// A server's layer inserts an empty slot if the route is not known when the exchange starts: around a router, or
/// around a router mounted by axum's `nest_service`. [`RouteLayer`](crate::RouteLayer) inside that router, or a
/// handler, sets the slot. The layer reads it when the exchange ends. All layers of a request share one slot. The
/// last route that is set applies.
///
/// ```
/// # let request = http::Request::new(());
/// use tower_otel_core::RouteSlot;
///
/// if let Some(slot) = request.extensions().get::<RouteSlot>() {
///     slot.set("/files/{*file}");
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RouteSlot(Arc<Mutex<Option<Route>>>);

impl RouteSlot {
    /// Sets the route.
    pub fn set(&self, route: impl Into<Route>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(route.into());
    }

    /// Returns the route, or `None` if it was not set.
    pub fn get(&self) -> Option<Route> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
