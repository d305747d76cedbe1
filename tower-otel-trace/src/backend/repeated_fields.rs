//! The fields that the `tracing` spans of similar requests have in common.

use std::net::IpAddr;

use tracing::field::{self, Value};

use super::fields::otel;
use crate::{
    attributes::{self, AttributeSink},
    request::{RequestAttributes, ResolvedAttributes},
    string_cache,
};

/// The number of fields from `otel.name` to the last repeated attribute.
const COUNT: usize = 8;

/// `otel.name`, `otel.kind` and the [repeated attributes](attributes::http_server_repeated) of a server's span.
#[derive(Debug, Default)]
#[cfg_attr(
    not(feature = "recorder-layer"),
    allow(dead_code, reason = "only `tracing` spans have fields")
)]
pub(crate) struct RepeatedFields([Option<Box<dyn Value>>; COUNT]);

impl RepeatedFields {
    /// Returns the fields of a request.
    pub(super) fn of(
        request: &RequestAttributes<'_, '_>,
        resolved: &ResolvedAttributes<'_>,
    ) -> Option<Self> {
        let mut fields = OwnedFields(Vec::with_capacity(COUNT));
        fields.text(otel::NAME, Some(resolved.name.as_str()));
        fields.static_text(otel::KIND, Some("server"));
        attributes::http_server_repeated(request, resolved, &mut fields);
        fields.0.try_into().ok().map(Self)
    }

    /// Returns the values in the order of the fields.
    #[cfg(feature = "recorder-layer")]
    #[inline(always)]
    pub(super) fn values(&self) -> [Option<&dyn Value>; COUNT] {
        self.0.each_ref().map(Option::as_deref)
    }
}

/// Collects copies of values.
struct OwnedFields(Vec<Option<Box<dyn Value>>>);

impl OwnedFields {
    fn push(&mut self, value: Option<impl Value + 'static>) {
        let value = value.map(|value| Box::new(value) as Box<dyn Value>);
        self.0.push(value);
    }
}

impl<'v> AttributeSink<'v> for OwnedFields {
    fn text(&mut self, _key: &'static str, value: Option<&'v str>) {
        self.push(value.map(str::to_owned));
    }

    fn static_text(&mut self, _key: &'static str, value: Option<&'static str>) {
        self.push(value);
    }

    fn int(&mut self, _key: &'static str, value: Option<i64>) {
        self.push(value);
    }

    fn address(&mut self, _key: &'static str, value: Option<IpAddr>) {
        self.push(value.map(|address| field::display(string_cache::address(address))));
    }
}
