//! The extensions that observers add to a request.

use http::Extensions;

use crate::{head::RequestHead, route_slot::RouteSlot, unwinding::PanicPayload};

/// Extensions that observers add to a request after all of them have started, and the panic of a function of the
/// application, which continues later.
#[derive(Default)]
pub(crate) struct Additions {
    pub(crate) route_slot: Option<RouteSlot>,
    pub(crate) extensions: Option<Extensions>,
    pub(crate) panic: Option<PanicPayload>,
}

impl Additions {
    /// Inserts the extensions into the request. Returns the panic.
    #[cold]
    pub(crate) fn insert(self, request: &mut dyn RequestHead) -> Option<PanicPayload> {
        let Some(extensions) = request.extensions_mut() else {
            return self.panic;
        };
        if let Some(slot) = self.route_slot {
            extensions.insert(slot);
        }
        if let Some(added) = self.extensions {
            extensions.extend(added);
        }
        self.panic
    }
}
