//! The part of a series' key that the end of an exchange determines.

use std::hash::{Hash, Hasher};

use http::{StatusCode, Version};
use tower_otel_semconv::protocol;

use crate::{
    custom_labels::CustomValues,
    custom_values::CustomValuesRef,
    dimensions::{Dimensions, NoResponse},
    handle_cache::{EntryIndex, Query},
    start_key::BorrowedStartKey,
};

/// What the end of an exchange adds to its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndKey<'a> {
    /// The entry of its start key; `None` if there was no room for it.
    pub(crate) start: Option<EntryIndex>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) no_response: Option<NoResponse>,
    pub(crate) error_type: Option<&'static str>,
    /// The protocol of the response, on a client.
    pub(crate) version: Option<Version>,
    /// The route, if it was set after the start.
    pub(crate) route: Option<&'a str>,
    /// The values of custom labels.
    pub(crate) custom: CustomValuesRef,
}

/// The same, owned in a table.
#[derive(Debug)]
pub(crate) struct OwnedEndKey {
    start: Option<EntryIndex>,
    status: Option<StatusCode>,
    no_response: Option<NoResponse>,
    error_type: Option<&'static str>,
    version: Option<Version>,
    route: Option<Box<str>>,
    custom: CustomValuesRef,
}

impl Hash for EndKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            start,
            status,
            no_response,
            error_type,
            version,
            route,
            custom,
        } = self;
        let status = status.map_or(0, |status| u64::from(status.as_u16()));
        let no_response = no_response.map_or(0, |why| why as u64 + 1);
        let start = start.map_or(0, |at| u64::from(at.number()));
        state.write_u64(no_response << 48 | status << 32 | start);
        if let CustomValuesRef::Stored(at) = custom {
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
    fn matches(&self, key: &OwnedEndKey) -> bool {
        let Self {
            start,
            status,
            no_response,
            error_type,
            version,
            route,
            custom,
        } = self;
        *start == key.start
            && *status == key.status
            && *no_response == key.no_response
            && *version == key.version
            && *error_type == key.error_type
            && *route == key.route.as_deref()
            && *custom == key.custom
    }

    fn to_key(&self) -> OwnedEndKey {
        OwnedEndKey {
            start: self.start,
            status: self.status,
            no_response: self.no_response,
            error_type: self.error_type,
            version: self.version,
            route: self.route.map(Into::into),
            custom: self.custom,
        }
    }
}

impl<'a> EndKey<'a> {
    /// Returns the dimensions of the series, with its start key and the values of custom labels.
    pub(crate) fn dimensions(
        self,
        start: BorrowedStartKey<'a>,
        custom: &'a CustomValues,
    ) -> Dimensions<'a> {
        let known = start.dimensions();
        Dimensions {
            status: self.status,
            no_response: self.no_response,
            error_type: self.error_type,
            version: self.version.and_then(protocol::version).or(known.version),
            route: self.route.or(known.route),
            custom,
            ..known
        }
    }
}
