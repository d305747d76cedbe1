//! The values that similar requests have in common.

use http::Version;

use crate::span_name_cache;

/// The values that determine the name and the first attributes of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TemplateKey<'a> {
    pub(crate) method: &'static str,
    pub(crate) route: Option<&'a str>,
    pub(crate) scheme: &'static str,
    pub(crate) version: Version,
    /// The `Host` header as sent.
    pub(crate) host: &'a [u8],
}

impl TemplateKey<'_> {
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        let seed = span_name_cache::hash_ends(self.host, self.method.len() as u64);
        span_name_cache::hash(self.route.unwrap_or_default().as_bytes(), seed)
    }
}
