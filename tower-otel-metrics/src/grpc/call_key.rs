//! The keys of the series of gRPC calls.

use std::hash::{Hash, Hasher};

use crate::{
    custom_values::CustomValuesRef,
    handle_cache::{EntryIndex, Query},
};

/// The part of a series' key from the request. It is borrowed from the request, or owned by a table.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct CallKey<T> {
    /// `pkg.Service/Method`. `None` is recorded as `_OTHER`.
    pub(crate) method: Option<T>,
    /// The host of the requested server. On a server, only with the option `server_address`.
    pub(crate) host: Option<T>,
    pub(crate) port: Option<u16>,
}

pub(crate) type BorrowedCallKey<'a> = CallKey<&'a str>;

pub(crate) type OwnedCallKey = CallKey<Box<str>>;

impl BorrowedCallKey<'_> {
    /// Returns the key of the calls of all unknown methods.
    pub(crate) fn of_unknown_method(self) -> Self {
        Self {
            method: None,
            ..self
        }
    }
}

impl OwnedCallKey {
    pub(crate) fn borrowed(&self) -> BorrowedCallKey<'_> {
        CallKey {
            method: self.method.as_deref(),
            host: self.host.as_deref(),
            port: self.port,
        }
    }
}

impl Query for BorrowedCallKey<'_> {
    type Key = OwnedCallKey;

    fn matches(&self, key: &OwnedCallKey) -> bool {
        self.method == key.method.as_deref()
            && self.host == key.host.as_deref()
            && self.port == key.port
    }

    fn to_key(&self) -> OwnedCallKey {
        CallKey {
            method: self.method.map(Into::into),
            host: self.host.map(Into::into),
            port: self.port,
        }
    }
}

/// The key of a series of ended calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallEndKey {
    /// The entry of its start key.
    pub(crate) start: EntryIndex,
    /// The code of the status.
    pub(crate) code: u8,
    pub(crate) error_type: Option<&'static str>,
    /// The values of custom labels.
    pub(crate) custom: CustomValuesRef,
}

impl Hash for CallEndKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.code) << 32 | u64::from(self.start.number()));
        if let CustomValuesRef::Stored(at) = self.custom {
            state.write_u32(at.number());
        }
        if let Some(error_type) = self.error_type {
            state.write(error_type.as_bytes());
        }
    }
}

impl Query for CallEndKey {
    type Key = Self;

    fn matches(&self, key: &Self) -> bool {
        self == key
    }

    fn to_key(&self) -> Self {
        *self
    }
}
