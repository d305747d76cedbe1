//! The part of a series' key from the end of an exchange.

use std::hash::{Hash, Hasher};

use http::{StatusCode, Version};
use tower_otel_semconv::protocol_version;

use crate::{
    custom_labels::CustomValues,
    custom_values::CustomValuesRef,
    dimensions::{Dimensions, NoResponse},
    handle_cache::{EntryIndex, Query},
    start_key::BorrowedStartKey,
};

/// The start key of an exchange, and the label values of its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndKey<'a> {
    /// The entry of its start key. `None` if there was no room for it.
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

/// An [`EndKey`] that a table owns.
#[derive(Debug)]
pub(crate) struct OwnedEndKey {
    /// Start, status and reason in [one word](EndKey::packed).
    packed: u64,
    /// The values that the keys of most exchanges do not have. Boxed, so that other keys use fewer cache lines.
    extras: Option<Box<EndKeyExtras>>,
}

#[derive(Debug)]
struct EndKeyExtras {
    error_type: Option<&'static str>,
    version: Option<Version>,
    route: Option<Box<str>>,
    custom: CustomValuesRef,
}

impl OwnedEndKey {
    /// Returns whether this is the key of an exchange with this start and status and no other values.
    #[inline]
    pub(crate) fn is_plain(&self, start: EntryIndex, status: StatusCode) -> bool {
        self.packed == u64::from(status.as_u16()) << 32 | u64::from(start.number())
            && self.extras.is_none()
    }
}

impl Hash for EndKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.packed());
        if let CustomValuesRef::Stored(at) = self.custom {
            state.write_u32(at.number());
        }
        if let Some(version) = self.version {
            version.hash(state);
        }
        for text in [self.error_type, self.route].into_iter().flatten() {
            state.write(text.as_bytes());
        }
    }
}

impl Query for EndKey<'_> {
    type Key = OwnedEndKey;

    #[inline(always)]
    fn matches(&self, key: &OwnedEndKey) -> bool {
        self.packed() == key.packed
            && match &key.extras {
                None => self.has_no_extras(),
                Some(extras) => {
                    self.version == extras.version
                        && self.error_type == extras.error_type
                        && self.route == extras.route.as_deref()
                        && self.custom == extras.custom
                }
            }
    }

    fn to_key(&self) -> OwnedEndKey {
        OwnedEndKey {
            packed: self.packed(),
            extras: (!self.has_no_extras()).then(|| {
                Box::new(EndKeyExtras {
                    error_type: self.error_type,
                    version: self.version,
                    route: self.route.map(Into::into),
                    custom: self.custom,
                })
            }),
        }
    }
}

impl<'a> EndKey<'a> {
    /// Returns whether the key has only a start, a status and a reason.
    #[inline]
    fn has_no_extras(&self) -> bool {
        self.error_type.is_none()
            && self.version.is_none()
            && self.route.is_none()
            && self.custom == CustomValuesRef::Empty
    }

    /// Returns start, status and reason in one word, which differs if one of them differs.
    #[inline]
    fn packed(&self) -> u64 {
        let status = self.status.map_or(0, |status| u64::from(status.as_u16()));
        let no_response = self.no_response.map_or(0, |why| why as u64 + 1);
        let start = self.start.map_or(0, |at| u64::from(at.number()));
        no_response << 48 | status << 32 | start
    }

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
            version: self.version.and_then(protocol_version).or(known.version),
            route: self.route.or(known.route),
            custom,
            ..known
        }
    }
}
