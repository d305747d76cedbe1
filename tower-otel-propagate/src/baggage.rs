//! Converts between the `baggage` header and OpenTelemetry's [`Baggage`].

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context,
    baggage::{Baggage, BaggageExt, BaggageMetadata},
};

use crate::w3c::{
    BAGGAGE,
    baggage::{HeaderBuilder, Member, parse},
};

/// Returns `parent` with the baggage of a request instead of its own baggage.
///
/// At most 64 members and 8192 bytes are read
/// ([specification](https://www.w3.org/TR/baggage/#limits)). If a key is repeated, its last member applies.
/// Malformed members are skipped. Without a valid member, `parent` is returned unchanged.
///
/// A server reads baggage with `TraceLayer::server().propagator(Propagation::w3c().read_baggage())`,
/// or with this function:
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, baggage::BaggageExt};
/// use tower_otel_propagate::extract_baggage;
///
/// let mut received = HeaderMap::new();
/// received.insert("baggage", "tenant=7,plan=gold".parse()?);
/// let cx = extract_baggage(&received, &Context::new());
/// assert_eq!(cx.baggage().get("plan").map(|plan| plan.as_str()), Some("gold"));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn extract_baggage(headers: &HeaderMap, parent: &Context) -> Context {
    let lines = headers.get_all(&BAGGAGE).iter();
    decode(lines.map(HeaderValue::as_bytes), parent)
}

/// Returns `parent` with the baggage of these header lines.
pub(crate) fn decode<'a>(lines: impl Iterator<Item = &'a [u8]>, parent: &Context) -> Context {
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

/// Returns the header value for the members with a selected key, or `None` if there are none.
///
/// Members are sorted by key, so that the limits omit the same members of equal baggage.
pub(crate) fn encode(baggage: &Baggage, selected: impl Fn(&str) -> bool) -> Option<String> {
    let mut members: Vec<_> = baggage
        .iter()
        .filter(|(key, _)| selected(key.as_str()))
        .filter_map(|(key, (value, properties))| {
            Member::new(key.as_str(), value.as_str(), properties.as_str())
        })
        .collect();
    members.sort_unstable_by_key(Member::key);
    let mut list = HeaderBuilder::default();
    for member in &members {
        list.push(member);
    }
    list.into_header()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry::baggage::KeyValueMetadata;

    use super::*;

    fn context() -> Context {
        Context::new().with_baggage([
            KeyValueMetadata::new("tenant", "7", "ttl=3"),
            KeyValueMetadata::new("user", "Amélie", ""),
            KeyValueMetadata::new("broken", "1", "a\r\nb"),
        ])
    }

    #[test]
    fn extract_baggage_reads_back_what_encode_wrote() {
        let header = encode(context().baggage(), |_| true).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("baggage", header.try_into().unwrap());
        let cx = extract_baggage(&headers, &Context::new());
        let (value, properties) = cx.baggage().get_with_metadata("tenant").unwrap();
        assert_eq!((value.as_str(), properties.as_str()), ("7", "ttl=3"));
        assert_eq!(cx.baggage().get("user").unwrap().as_str(), "Amélie");
        assert_eq!(cx.baggage().len(), 2);
    }

    #[test]
    fn the_parent_is_unchanged_without_a_valid_member_and_otherwise_loses_its_baggage() {
        let mut headers = HeaderMap::new();
        assert_eq!(extract_baggage(&headers, &context()).baggage().len(), 3);
        headers.insert("baggage", "only a text".parse().unwrap());
        assert_eq!(extract_baggage(&headers, &context()).baggage().len(), 3);
        headers.append("baggage", "a=1".parse().unwrap());
        headers.append("baggage", "b=2,a=3".parse().unwrap());
        let replaced = extract_baggage(&headers, &context());
        assert_eq!(replaced.baggage().len(), 2);
        assert_eq!(replaced.baggage().get("a").unwrap().as_str(), "3");
    }
}
