//! What observers add to a request.

use http::Extensions;

use crate::{head::RequestHead, route_slot::RouteSlot};

/// What observers add to the extensions of a request after all of them have started.
#[derive(Default)]
pub(crate) struct Additions {
    pub(crate) route_slot: Option<RouteSlot>,
    pub(crate) extensions: Option<Extensions>,
}

impl Additions {
    /// Inserts them into the request.
    #[cold]
    pub(crate) fn insert(self, request: &mut dyn RequestHead) {
        let Some(extensions) = request.extensions_mut() else {
            return;
        };
        if let Some(slot) = self.route_slot {
            extensions.insert(slot);
        }
        if let Some(added) = self.extensions {
            extensions.extend(added);
        }
    }
}
