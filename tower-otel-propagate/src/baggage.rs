//! Baggage: what a context says about a request to every service on its way, and who may hear it.
//!
//! Baggage holds what an application put there: users, tenants, feature flags. Nothing of it leaves
//! unless a [`BaggagePolicy`] names the keys and the hosts, and nothing is read unless asked.
//!
//! ```
//! use http::HeaderMap;
//! use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
//! use tower_otel_core::Hosts;
//! use tower_otel_propagate::{BaggagePolicy, Format, PropagateLayer, baggage};
//!
//! // A client's layer: one key, and only to services of ours.
//! let layer = PropagateLayer::new().baggage(
//!     BaggagePolicy::new().keys(["tenant"]).hosts(Hosts::new(["*.internal"])),
//! );
//!
//! // A server reads it by `TraceLayer::server().propagator(Format::w3c().reading_baggage())`, or:
//! let mut received = HeaderMap::new();
//! received.insert("baggage", "tenant=7,plan=gold".parse()?);
//! let cx = baggage::extract(&received, &Context::new());
//! assert_eq!(cx.baggage().get("plan").map(|plan| plan.as_str()), Some("gold"));
//! # let _ = (layer, Format::w3c(), KeyValue::new("a", "b"));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use std::{collections::BTreeSet, sync::Arc};

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context,
    baggage::{Baggage, BaggageExt, BaggageMetadata},
};
use tower_otel_core::{Hosts, RequestHead};

use crate::w3c::{
    BAGGAGE,
    baggage::{Member, Writer, parse},
};

/// Which members of the baggage are sent, and to whom. None to nobody, by default.
#[derive(Clone, Debug, Default)]
pub struct BaggagePolicy {
    keys: Keys,
    hosts: Hosts,
}

#[derive(Clone, Debug, Default)]
enum Keys {
    #[default]
    None,
    All,
    Of(Arc<BTreeSet<String>>),
}

impl Keys {
    fn contain(&self, key: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Of(keys) => keys.contains(key),
        }
    }
}

impl BaggagePolicy {
    /// Nothing to nobody.
    pub const fn new() -> Self {
        Self {
            keys: Keys::None,
            hosts: Hosts::none(),
        }
    }

    /// The keys that are sent. Capital letters are others than small ones.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keys = Keys::Of(Arc::new(keys.into_iter().map(Into::into).collect()));
        self
    }

    /// Sends every key there is, also those that others put there.
    #[must_use]
    pub fn all_keys(mut self) -> Self {
        self.keys = Keys::All;
        self
    }

    /// The hosts that are sent to.
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    pub(crate) fn inject(&self, cx: &Context, request: &mut dyn RequestHead) {
        if matches!(self.keys, Keys::None) || cx.baggage().is_empty() {
            return;
        }
        if self.hosts.contains_host_of(request) && !is_in(request.headers()) {
            write(cx.baggage(), &self.keys, request.headers_mut());
        }
    }
}

/// Adds the baggage of a request to `parent`, in place of baggage it has.
///
/// Of what was received 64 members and 8192 bytes are taken, and of members of one key the last
/// ([`Baggage`] holds one, in no order). Without a valid member `parent` is returned as it is.
pub fn extract(headers: &HeaderMap, parent: &Context) -> Context {
    read(
        headers.get_all(&BAGGAGE).iter().map(HeaderValue::as_bytes),
        parent,
    )
}

pub(crate) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>, parent: &Context) -> Context {
    let mut baggage = Baggage::new();
    for member in parse(lines) {
        let metadata = BaggageMetadata::from(member.properties());
        baggage.insert_with_metadata(member.key().to_owned(), member.value().to_owned(), metadata);
    }
    if baggage.is_empty() {
        return parent.clone();
    }
    parent.with_baggage(baggage)
}

pub(crate) fn is_in(headers: &HeaderMap) -> bool {
    headers.contains_key(&BAGGAGE)
}

fn write(baggage: &Baggage, keys: &Keys, headers: &mut HeaderMap) {
    let value = encode(baggage, |key| keys.contain(key)).map(HeaderValue::try_from);
    if let Some(Ok(value)) = value {
        // An error says that the map is full, and nothing has changed.
        let _ = headers.try_insert(&BAGGAGE, value);
    }
}

/// Members in the order of their keys, so that the same are left out whenever it is too much.
pub(crate) fn encode(baggage: &Baggage, sent: impl Fn(&str) -> bool) -> Option<String> {
    let mut members: Vec<_> = baggage
        .iter()
        .filter(|(key, _)| sent(key.as_str()))
        .filter_map(|(key, (value, properties))| {
            Member::new(key.as_str(), value.as_str(), properties.as_str())
        })
        .collect();
    members.sort_unstable_by_key(Member::key);
    let mut list = Writer::default();
    for member in &members {
        list.push(member);
    }
    list.into_header()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use opentelemetry::{KeyValue, baggage::KeyValueMetadata};

    use super::*;

    fn context() -> Context {
        Context::new().with_baggage([
            KeyValueMetadata::new("tenant", "7", "ttl=3"),
            KeyValueMetadata::new("user", "Amélie", ""),
            KeyValueMetadata::new("broken", "1", "a\r\nb"),
        ])
    }

    /// The header that a request to this place leaves with.
    fn sent(policy: &BaggagePolicy, cx: &Context, target: &str) -> Option<String> {
        let mut request = http::Request::get(target).body(()).unwrap();
        policy.inject(cx, &mut request);
        let header = request.headers().get("baggage")?;
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn nothing_leaves_until_keys_and_hosts_are_named() {
        let hosts = Hosts::new(["ours.example"]);
        for silent in [
            BaggagePolicy::new(),
            BaggagePolicy::default(),
            BaggagePolicy::new().all_keys(),
            BaggagePolicy::new().keys(["tenant"]),
            BaggagePolicy::new().hosts(hosts.clone()),
            BaggagePolicy::new().keys(["other"]).hosts(hosts.clone()),
        ] {
            assert_eq!(sent(&silent, &context(), "http://ours.example/"), None);
        }
        let policy = BaggagePolicy::new().keys(["tenant"]).hosts(hosts);
        let ours = sent(&policy, &context(), "http://ours.example:8080/");
        assert_eq!(ours.unwrap(), "tenant=7;ttl=3");
        assert_eq!(sent(&policy, &context(), "http://theirs.example/"), None);
        assert_eq!(sent(&policy, &Context::new(), "http://ours.example/"), None);
    }

    #[test]
    fn all_keys_are_sent_in_order_but_those_that_are_no_members() {
        let policy = BaggagePolicy::new().all_keys().hosts(Hosts::all());
        let header = sent(&policy, &context(), "/").unwrap();
        assert_eq!(header, "tenant=7;ttl=3,user=Am%C3%A9lie");
    }

    #[test]
    fn too_much_is_cut_at_whole_members_and_always_the_same() {
        // The type's own limit is on what it holds; encoded it is three times that.
        let many = (0..60).map(|n| KeyValue::new(format!("k{n:02}"), "ä".repeat(50)));
        let cx = Context::new().with_baggage(many.collect::<Baggage>());
        let policy = BaggagePolicy::new().all_keys().hosts(Hosts::all());
        let header = sent(&policy, &cx, "/").unwrap();
        assert!(header.len() <= 8192);
        // Each takes 4 bytes, 300 for its value, and a comma.
        assert_eq!(header.split(',').count(), 26);
        assert!(header.starts_with("k00=") && header.contains(",k25="));
    }

    #[test]
    fn what_the_caller_wrote_stays() {
        let policy = BaggagePolicy::new().all_keys().hosts(Hosts::all());
        let request = http::Request::get("/").header("baggage", "mine=1");
        let mut request = request.body(()).unwrap();
        policy.inject(&context(), &mut request);
        assert_eq!(request.headers()["baggage"], "mine=1");
    }

    #[test]
    fn what_is_read_is_what_was_sent() {
        let policy = BaggagePolicy::new().all_keys().hosts(Hosts::all());
        let mut request = http::Request::get("/").body(()).unwrap();
        policy.inject(&context(), &mut request);
        let cx = extract(request.headers(), &Context::new());
        let (value, properties) = cx.baggage().get_with_metadata("tenant").unwrap();
        assert_eq!((value.as_str(), properties.as_str()), ("7", "ttl=3"));
        assert_eq!(cx.baggage().get("user").unwrap().as_str(), "Amélie");
        assert_eq!(cx.baggage().len(), 2);
    }

    #[test]
    fn nothing_valid_leaves_the_parent_as_it_was() {
        let mut headers = HeaderMap::new();
        assert_eq!(extract(&headers, &context()).baggage().len(), 3);
        headers.insert("baggage", "only a text".parse().unwrap());
        assert_eq!(extract(&headers, &context()).baggage().len(), 3);
        headers.append("baggage", "a=1".parse().unwrap());
        headers.append("baggage", "b=2,a=3".parse().unwrap());
        let replaced = extract(&headers, &context());
        assert_eq!(replaced.baggage().len(), 2);
        assert_eq!(replaced.baggage().get("a").unwrap().as_str(), "3");
    }
}
