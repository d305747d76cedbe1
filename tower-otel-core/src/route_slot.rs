//! A route that becomes known after the exchange has started.

use std::sync::{Arc, Mutex, PoisonError};

use crate::route::Route;

/// A slot in the extensions of a request, in which a router or a handler leaves the route.
///
/// A layer around a router, or around one mounted by axum's `nest_service`, starts an exchange before
/// the route is known, and inserts an empty slot. [`RouteLayer`](crate::RouteLayer) inside the nested
/// router, or a handler, sets it. The layer reads it when the exchange ends. All layers of a request
/// share one slot. The last route that is set wins: it is that of the innermost router.
#[derive(Clone, Debug, Default)]
pub struct RouteSlot(Arc<Mutex<Option<Route>>>);

impl RouteSlot {
    /// Sets the route.
    pub fn set(&self, route: impl Into<Route>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(route.into());
    }

    /// Returns the route, if it was set.
    pub fn get(&self) -> Option<Route> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
