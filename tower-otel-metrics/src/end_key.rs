//! The key of what is known when an exchange ends.

use std::hash::{Hash, Hasher};

use http::{StatusCode, Version};
use tower_otel_semconv::protocol;

use crate::{
    dimensions::{Dimensions, Unanswered},
    labels::{Own, OwnValues},
    series::{At, Query},
    start_key::BorrowedStartKey,
};

/// What the end of an exchange adds to its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndKey<'a> {
    /// The entry of its start key; `None` if there was no room for it.
    pub(crate) start: Option<At>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) unanswered: Option<Unanswered>,
    pub(crate) error_type: Option<&'static str>,
    /// The protocol of the response, on a client.
    pub(crate) version: Option<Version>,
    /// The route, if it was set after the start.
    pub(crate) route: Option<&'a str>,
    /// The values of custom labels.
    pub(crate) own: Own,
}

/// The same, owned in a table.
#[derive(Debug)]
pub(crate) struct OwnedEndKey {
    start: Option<At>,
    status: Option<StatusCode>,
    unanswered: Option<Unanswered>,
    error_type: Option<&'static str>,
    version: Option<Version>,
    route: Option<Box<str>>,
    own: Own,
}

impl Hash for EndKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            start,
            status,
            unanswered,
            error_type,
            version,
            route,
            own,
        } = self;
        let status = status.map_or(0, |status| u64::from(status.as_u16()));
        let unanswered = unanswered.map_or(0, |why| why as u64 + 1);
        let start = start.map_or(0, |at| u64::from(at.number()));
        state.write_u64(unanswered << 48 | status << 32 | start);
        if let Own::Known(at) = own {
            state.write_u32(at.number());
        }
        if let Some(version) = version {
            version.hash(state);
        }
        for text in [error_type, route].into_iter().flatten() {
            state.write(text.as_bytes());
        }
    }
}

impl Query for EndKey<'_> {
    type Key = OwnedEndKey;

    #[inline]
    fn is(&self, key: &OwnedEndKey) -> bool {
        let Self {
            start,
            status,
            unanswered,
            error_type,
            version,
            route,
            own,
        } = self;
        *start == key.start
            && *status == key.status
            && *unanswered == key.unanswered
            && *version == key.version
            && *error_type == key.error_type
            && *route == key.route.as_deref()
            && *own == key.own
    }

    fn to_key(&self) -> OwnedEndKey {
        OwnedEndKey {
            start: self.start,
            status: self.status,
            unanswered: self.unanswered,
            error_type: self.error_type,
            version: self.version,
            route: self.route.map(Into::into),
            own: self.own,
        }
    }
}

impl<'a> EndKey<'a> {
    /// Returns the dimensions of the series, with its start key and the values of custom labels.
    pub(crate) fn dimensions(
        self,
        start: BorrowedStartKey<'a>,
        own: &'a OwnValues,
    ) -> Dimensions<'a> {
        let known = start.dimensions();
        Dimensions {
            status: self.status,
            unanswered: self.unanswered,
            error_type: self.error_type,
            version: self.version.and_then(protocol::version).or(known.version),
            route: self.route.or(known.route),
            own,
            ..known
        }
    }
}
