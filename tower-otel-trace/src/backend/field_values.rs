//! The values of the fields of a `tracing` span.

use std::net::IpAddr;

use opentelemetry::StringValue;
use tracing::field::{self, DisplayValue, Value};

use super::fields::MAX_FIELDS;
use crate::{attributes::AttributeSink, string_cache};

/// The maximum number of integers of a callsite, and of addresses: those of the client, the peer and the server.
pub(super) const MAX_INTS: usize = 6;
pub(super) const MAX_ADDRESSES: usize = 3;

/// The values of the fields of a callsite, in the order of the fields.
///
/// Unknown values are fields without a value, so that the place of each value is known when this code is compiled.
pub(super) struct FieldValues<'v> {
    /// The index of the next field.
    next: usize,
    texts: [Option<&'v str>; MAX_FIELDS],
    ints: Others<Option<i64>, MAX_INTS>,
    addresses: Others<Option<DisplayValue<StringValue>>, MAX_ADDRESSES>,
}

/// Values that are no texts, with the indices of their fields.
struct Others<T, const N: usize> {
    len: usize,
    values: [(usize, T); N],
}

impl<T, const N: usize> Others<T, N> {
    #[inline(always)]
    fn push(&mut self, index: usize, value: T) {
        if let Some(place) = self.values.get_mut(self.len) {
            *place = (index, value);
        }
        self.len += 1;
    }

    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = &(usize, T)> {
        self.values.iter().take(self.len)
    }
}

/// The values of all fields of a callsite.
pub(super) type Fields<'v> = [Option<&'v dyn Value>; MAX_FIELDS];

impl<'v> FieldValues<'v> {
    /// Returns no values. The first one will be that of the field with this index.
    #[inline(always)]
    pub(super) const fn new(first: usize) -> Self {
        Self {
            next: first,
            texts: [None; MAX_FIELDS],
            ints: Others {
                len: 0,
                values: [(0, None); MAX_INTS],
            },
            addresses: Others {
                len: 0,
                values: [const { (0, None) }; MAX_ADDRESSES],
            },
        }
    }

    /// Returns the values of all fields.
    #[inline(always)]
    pub(super) fn in_order(&self) -> Fields<'_> {
        let mut fields = self.texts.each_ref().map(|text| Some(text as &dyn Value));
        for (index, value) in self.ints.iter() {
            if let Some(field) = fields.get_mut(*index) {
                *field = Some(value);
            }
        }
        for (index, value) in self.addresses.iter() {
            if let Some(field) = fields.get_mut(*index) {
                *field = Some(value);
            }
        }
        fields
    }
}

impl<'v> AttributeSink<'v> for FieldValues<'v> {
    #[inline(always)]
    fn text(&mut self, _key: &'static str, value: Option<&'v str>) {
        if let Some(text) = self.texts.get_mut(self.next) {
            *text = value;
        }
        self.next += 1;
    }

    #[inline(always)]
    fn static_text(&mut self, key: &'static str, value: Option<&'static str>) {
        self.text(key, value);
    }

    #[inline(always)]
    fn int(&mut self, _key: &'static str, value: Option<i64>) {
        self.ints.push(self.next, value);
        self.next += 1;
    }

    #[inline(always)]
    fn address(&mut self, _key: &'static str, value: Option<IpAddr>) {
        // Each layer of the subscriber formats the value.
        let text = value.map(|address| field::display(string_cache::address(address)));
        self.addresses.push(self.next, text);
        self.next += 1;
    }
}
