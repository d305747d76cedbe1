//! The baggage that a client sends.

use std::{collections::BTreeSet, sync::Arc};

use http::HeaderValue;
use opentelemetry::{Context, baggage::BaggageExt};
use tower_otel_core::{Hosts, RequestHead};

use crate::{baggage::encode, w3c::BAGGAGE};

/// The baggage keys that a client sends, and the hosts that it sends them to. Default: nothing is
/// sent.
///
/// Baggage contains application data, such as user and tenant ids. It is sent only if the policy allows
/// both the key and the host. At most 64 members and 8192 bytes are sent; members are added in the order of their keys
/// ([specification](https://www.w3.org/TR/baggage/#limits)).
///
/// ```
/// use tower_otel_propagate::{BaggagePolicy, Hosts, PropagateLayer};
///
/// let policy = BaggagePolicy::default().keys(["tenant"]).hosts(Hosts::new(["*.internal"]));
/// let layer = PropagateLayer::new().baggage(policy);
/// ```
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
    Only(Arc<BTreeSet<String>>),
}

impl Keys {
    fn contains(&self, key: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(keys) => keys.contains(key),
        }
    }
}

impl BaggagePolicy {
    /// Sets the keys to send, replacing those of earlier calls. Keys are case-sensitive. Default: none.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keys = Keys::Only(Arc::new(keys.into_iter().map(Into::into).collect()));
        self
    }

    /// Sends all keys, including those that other libraries set and those received from callers. Default: no key is sent.
    #[must_use]
    pub fn all_keys(mut self) -> Self {
        self.keys = Keys::All;
        self
    }

    /// Sets the hosts to send baggage to. Default: none.
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// Writes the allowed baggage of `cx` into a request. An existing `baggage` header is not
    /// changed.
    pub(crate) fn inject(&self, cx: &Context, request: &mut dyn RequestHead) {
        if matches!(self.keys, Keys::None) || cx.baggage().is_empty() {
            return;
        }
        if !self.hosts.contains_host_of(request) || request.headers().contains_key(&BAGGAGE) {
            return;
        }
        let value = encode(cx.baggage(), |key| self.keys.contains(key));
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            // Fails if the map is full. The map is then unchanged.
            let _ = request.headers_mut().try_insert(&BAGGAGE, value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use opentelemetry::{
        KeyValue,
        baggage::{Baggage, KeyValueMetadata},
    };

    use super::*;

    fn context() -> Context {
        Context::new().with_baggage([
            KeyValueMetadata::new("tenant", "7", "ttl=3"),
            KeyValueMetadata::new("user", "Amélie", ""),
            KeyValueMetadata::new("broken", "1", "a\r\nb"),
        ])
    }

    /// Returns the `baggage` header of a request to this target.
    fn sent(policy: &BaggagePolicy, cx: &Context, target: &str) -> Option<String> {
        let mut request = http::Request::get(target).body(()).unwrap();
        policy.inject(cx, &mut request);
        let header = request.headers().get("baggage")?;
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn nothing_is_sent_without_both_keys_and_hosts() {
        let hosts = Hosts::new(["internal.example"]);
        for policy in [
            BaggagePolicy::default(),
            BaggagePolicy::default().all_keys(),
            BaggagePolicy::default().keys(["tenant"]),
            BaggagePolicy::default().hosts(hosts.clone()),
            BaggagePolicy::default()
                .keys(["other"])
                .hosts(hosts.clone()),
        ] {
            assert_eq!(sent(&policy, &context(), "http://internal.example/"), None);
        }
        let policy = BaggagePolicy::default().keys(["tenant"]).hosts(hosts);
        let header = sent(&policy, &context(), "http://internal.example:8080/");
        assert_eq!(header.unwrap(), "tenant=7;ttl=3");
        assert_eq!(sent(&policy, &context(), "http://other.example/"), None);
        assert_eq!(
            sent(&policy, &Context::new(), "http://internal.example/"),
            None
        );
    }

    #[test]
    fn all_keys_are_sent_in_order_without_malformed_members() {
        let policy = BaggagePolicy::default().all_keys().hosts(Hosts::all());
        let header = sent(&policy, &context(), "/").unwrap();
        assert_eq!(header, "tenant=7;ttl=3,user=Am%C3%A9lie");
    }

    #[test]
    fn the_limits_omit_whole_members_and_always_the_same_ones() {
        // `Baggage` limits the decoded values. Encoded values are three times as long.
        let many = (0..60).map(|n| KeyValue::new(format!("k{n:02}"), "ä".repeat(50)));
        let cx = Context::new().with_baggage(many.collect::<Baggage>());
        let policy = BaggagePolicy::default().all_keys().hosts(Hosts::all());
        let header = sent(&policy, &cx, "/").unwrap();
        assert!(header.len() <= 8192);
        // A member has 4 bytes before its value, 300 bytes of value, and a comma.
        assert_eq!(header.split(',').count(), 26);
        assert!(header.starts_with("k00=") && header.contains(",k25="));
    }

    #[test]
    fn an_existing_baggage_header_is_not_changed() {
        let policy = BaggagePolicy::default().all_keys().hosts(Hosts::all());
        let request = http::Request::get("/").header("baggage", "mine=1");
        let mut request = request.body(()).unwrap();
        policy.inject(&context(), &mut request);
        assert_eq!(request.headers()["baggage"], "mine=1");
    }
}
