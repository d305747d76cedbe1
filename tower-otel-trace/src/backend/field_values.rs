//! The values of the fields of a `tracing` span.

use std::{net::IpAddr, slice::IterMut};

use opentelemetry::StringValue;
use tracing::field::{self, DisplayValue, Value};

use crate::{attributes::AttributeSink, string_cache};

/// The maximum number of integers of a callsite, and of addresses: those of the client, the peer and the server.
pub(super) const MAX_INTS: usize = 6;
pub(super) const MAX_ADDRESSES: usize = 3;

/// The values of the fields of a callsite, by type.
pub(super) struct FieldValues<'v, const TEXTS: usize, const INTS: usize, const ADDRESSES: usize> {
    texts: [Option<&'v str>; TEXTS],
    ints: [Option<i64>; INTS],
    addresses: [Option<DisplayValue<StringValue>>; ADDRESSES],
}

impl<'v, const TEXTS: usize, const INTS: usize, const ADDRESSES: usize>
    FieldValues<'v, TEXTS, INTS, ADDRESSES>
{
    /// Returns no values.
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self {
            texts: [None; TEXTS],
            ints: [None; INTS],
            addresses: [const { None }; ADDRESSES],
        }
    }

    /// Returns a sink that stores values here and refers to them in `fields`, in the order of the fields.
    #[inline(always)]
    pub(super) fn sink<'f, 's>(
        &'s mut self,
        fields: &'f mut [Option<&'s dyn Value>],
    ) -> FieldSink<'f, 's, 'v> {
        FieldSink {
            fields: fields.iter_mut(),
            texts: self.texts.iter_mut(),
            ints: self.ints.iter_mut(),
            addresses: self.addresses.iter_mut(),
        }
    }
}

/// Writes the values of fields one by one.
///
/// Each field takes the next place, whether or not its value is known. So the compiler knows the places and their types, unless
/// the sink is passed to a function that is not inlined.
pub(super) struct FieldSink<'f, 's, 'v> {
    fields: IterMut<'f, Option<&'s dyn Value>>,
    texts: IterMut<'s, Option<&'v str>>,
    ints: IterMut<'s, Option<i64>>,
    addresses: IterMut<'s, Option<DisplayValue<StringValue>>>,
}

/// Writes a value to the next place, and a reference to it to the next field.
#[inline(always)]
fn push<'s, T>(
    fields: &mut IterMut<'_, Option<&'s dyn Value>>,
    places: &mut IterMut<'s, Option<T>>,
    value: Option<T>,
) where
    Option<T>: Value,
{
    if let (Some(field), Some(place)) = (fields.next(), places.next()) {
        *place = value;
        *field = Some(place);
    }
}

impl<'v> AttributeSink<'v> for FieldSink<'_, '_, 'v> {
    #[inline(always)]
    fn text(&mut self, _key: &'static str, value: Option<&'v str>) {
        push(&mut self.fields, &mut self.texts, value);
    }

    #[inline(always)]
    fn static_text(&mut self, key: &'static str, value: Option<&'static str>) {
        self.text(key, value);
    }

    #[inline(always)]
    fn int(&mut self, _key: &'static str, value: Option<i64>) {
        push(&mut self.fields, &mut self.ints, value);
    }

    #[inline(always)]
    fn address(&mut self, _key: &'static str, value: Option<IpAddr>) {
        push(
            &mut self.fields,
            &mut self.addresses,
            value.map(address_value),
        );
    }
}

/// Returns the value of an address.
#[inline]
pub(super) fn address_value(address: IpAddr) -> DisplayValue<StringValue> {
    // Each layer of the subscriber formats the value.
    field::display(string_cache::address(address))
}
