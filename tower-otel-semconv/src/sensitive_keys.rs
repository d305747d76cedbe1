//! What a URL may say in public.
//!
//! Signed URLs carry their signature in the query, and some URLs carry a password before the host. Neither may reach
//! a span: the conventions say to put `REDACTED` in their place and keep the rest.
//!
//! See [URL attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/), `url.full` and
//! `url.query`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::Target;

/// What stands where a secret stood.
pub const REDACTED: &str = "REDACTED";

/// The query parameters whose values are secrets by default: signatures of AWS, Azure and Google Cloud.
pub const DEFAULT_SENSITIVE_KEYS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
];

/// Query parameters whose values are not written down.
///
/// By default [`DEFAULT_SENSITIVE_KEYS`]; an own list replaces it. Keys are compared case-sensitively, in the form a
/// server reads them: after percent-decoding. A clone costs at most a reference count.
///
/// ```
/// use tower_otel_semconv::SensitiveKeys;
///
/// let keys = SensitiveKeys::default();
/// assert_eq!(keys.query("page=2&sig=s3cr3t"), "page=2&sig=REDACTED");
/// assert_eq!(keys.query("page=2&s%69g=s3cr3t"), "page=2&s%69g=REDACTED");
/// assert_eq!(SensitiveKeys::new(["token"]).query("sig=a&token=b"), "sig=a&token=REDACTED");
/// ```
#[derive(Clone, Debug, Default)]
pub struct SensitiveKeys(Option<Arc<[Box<str>]>>);

impl SensitiveKeys {
    /// Exactly these keys, written as they read when decoded. An empty list redacts nothing.
    pub fn new<I>(keys: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Box<str>>,
    {
        Self(Some(keys.into_iter().map(Into::into).collect()))
    }

    /// A query, without its `?`, with the values of sensitive keys replaced; the keys stay. Allocates only if there is
    /// something to replace.
    ///
    /// Some servers take `;` for a separator as well. So a key is looked for after one too, but a secret is taken to
    /// end only at the next `&`: at worst too much is hidden.
    #[must_use]
    pub fn query<'q>(&self, query: &'q str) -> Cow<'q, str> {
        if !query
            .split('&')
            .any(|pair| self.value_start(pair).is_some())
        {
            return Cow::Borrowed(query);
        }
        let mut redacted = String::with_capacity(query.len() + REDACTED.len());
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                redacted.push('&');
            }
            match self.value_start(pair).and_then(|start| pair.get(..start)) {
                Some(key) => redacted.extend([key, REDACTED]),
                None => redacted.push_str(pair),
            }
        }
        Cow::Owned(redacted)
    }

    /// The value of `url.full`: credentials and the values of sensitive keys replaced, all else as it was written.
    /// `None` if the target names no scheme or no host.
    ///
    /// ```
    /// use tower_otel_semconv::{Target, SensitiveKeys};
    ///
    /// let uri = http::Uri::from_static("https://me:s3cr3t@example.com:8443/a?sig=s3cr3t&b=c");
    /// let full = SensitiveKeys::default().url(&Target::of(&uri));
    /// assert_eq!(full.as_deref(), Some("https://REDACTED:REDACTED@example.com:8443/a?sig=REDACTED&b=c"));
    /// ```
    #[must_use]
    pub fn url(&self, target: &Target<'_>) -> Option<String> {
        let (scheme, authority) = target.scheme.zip(target.authority)?;
        let query = target.query.map(|query| self.query(query));
        let length = scheme.len()
            + authority.len()
            + target.path.len()
            + query.as_deref().map_or(0, str::len);
        let mut full = String::with_capacity(length + "://REDACTED:REDACTED@?".len());
        full.extend([scheme, "://"]);
        if target.has_userinfo {
            full.extend([REDACTED, ":", REDACTED, "@"]);
        }
        full.extend([authority, target.path]);
        if let Some(query) = &query {
            full.extend(["?", query.as_ref()]);
        }
        Some(full)
    }

    /// Where the first sensitive value in `key=value` begins.
    fn value_start(&self, pair: &str) -> Option<usize> {
        let mut start = 0;
        for part in pair.split(';') {
            if let Some((key, _)) = part.split_once('=') {
                if self.contains(key) {
                    return Some(start + key.len() + 1);
                }
            }
            start += part.len() + 1;
        }
        None
    }

    fn contains(&self, encoded: &str) -> bool {
        let is = |key: &str| key.len() <= encoded.len() && decode(encoded).eq(key.bytes());
        match &self.0 {
            None => DEFAULT_SENSITIVE_KEYS.into_iter().any(is),
            Some(keys) => keys.iter().any(|key| is(key)),
        }
    }
}

/// The bytes behind `%41` and `+`. A `%` without two hexadecimal digits stands for itself.
fn decode(encoded: &str) -> impl Iterator<Item = u8> {
    let mut rest = encoded.as_bytes();
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        rest = tail;
        Some(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', &[high, low, ref tail @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high * 16 + low
                }
                _ => first,
            },
            _ => first,
        })
    })
}

fn hex(digit: u8) -> Option<u8> {
    Some(match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::Uri;
    use proptest::prelude::*;

    const SECRET: &str = "S3CR3T";

    fn redact(query: &str) -> Cow<'_, str> {
        match SensitiveKeys::default().query(query) {
            Cow::Borrowed(same) => same.into(),
            Cow::Owned(other) => other.into(),
        }
    }

    #[test]
    fn a_secret_is_replaced_and_its_key_kept() {
        for (query, redacted) in [
            ("sig=x", "sig=REDACTED"),
            ("sig=", "sig=REDACTED"),
            ("a=b&Signature=x&c=d", "a=b&Signature=REDACTED&c=d"),
            ("sig=x&sig=y", "sig=REDACTED&sig=REDACTED"),
            ("sig=x=y==", "sig=REDACTED"),
            ("%73ig=x", "%73ig=REDACTED"),
            ("%73%69%67=x", "%73%69%67=REDACTED"),
            ("X%2DAmz%2dSignature=x", "X%2DAmz%2dSignature=REDACTED"),
            ("a=b;sig=x;y&c=d", "a=b;sig=REDACTED&c=d"),
            ("&&sig=x&", "&&sig=REDACTED&"),
        ] {
            assert_eq!(redact(query), redacted);
        }
    }

    #[test]
    fn what_is_no_secret_is_borrowed() {
        for query in [
            "",
            "a=b",
            "SIG=x",
            "sig",
            "signature=x",
            "sigs=x",
            "%=x",
            "%7=x",
            "si%zzg=x",
            "a=sig",
            "é=ü",
        ] {
            assert!(
                matches!(SensitiveKeys::default().query(query), Cow::Borrowed(same) if same == query),
                "{query}"
            );
        }
    }

    #[test]
    fn an_own_list_replaces_the_default() {
        let keys = SensitiveKeys::new(["api key", "tökén"]);
        assert_eq!(
            keys.query("sig=x&api+key=y&api%20key=z"),
            "sig=x&api+key=REDACTED&api%20key=REDACTED"
        );
        assert_eq!(keys.query("t%C3%B6k%c3%a9n=x"), "t%C3%B6k%c3%a9n=REDACTED");
        assert_eq!(SensitiveKeys::new::<[&str; 0]>([]).query("sig=x"), "sig=x");
    }

    #[test]
    fn a_full_url_keeps_all_but_secrets() {
        for (uri, full) in [
            ("http://a.example", "http://a.example/"),
            ("http://a.example:80/b", "http://a.example:80/b"),
            (
                "https://u:p@a.example/",
                "https://REDACTED:REDACTED@a.example/",
            ),
            (
                "https://u@a.example/",
                "https://REDACTED:REDACTED@a.example/",
            ),
            ("https://[::1]:8443/b?c", "https://[::1]:8443/b?c"),
            (
                "https://a.example/?sig=x",
                "https://a.example/?sig=REDACTED",
            ),
            ("https://a.example/b?", "https://a.example/b?"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(url(&uri).as_deref(), Some(full));
        }
    }

    #[test]
    fn a_uri_without_a_host_has_no_full_url() {
        for uri in ["/a", "*", "a.example:443"] {
            assert_eq!(url(&uri.parse().unwrap()), None, "{uri}");
        }
    }

    fn url(uri: &Uri) -> Option<String> {
        SensitiveKeys::default().url(&Target::of(uri))
    }

    fn percent_encoded(key: &str, mask: u32) -> String {
        let encode =
            |(index, byte): (usize, u8)| match mask.checked_shr(u32::try_from(index).unwrap()) {
                Some(bits) if bits & 1 == 1 => format!("%{byte:02x}"),
                _ => char::from(byte).to_string(),
            };
        key.bytes().enumerate().map(encode).collect()
    }

    proptest! {
        #[test]
        fn no_secret_survives_in_a_query(
            before in "[a-z&;=%+é]{0,12}",
            key in proptest::sample::select(&DEFAULT_SENSITIVE_KEYS[..]),
            mask in any::<u32>(),
            inside in "[a-z;=%+é]{0,6}",
            after in "[a-z&;=%+é]{0,12}",
        ) {
            let key = percent_encoded(key, mask);
            let query = format!("{before}&{key}={inside}{SECRET}{inside}&{after}");
            let redacted = redact(&query);
            prop_assert!(!redacted.contains(SECRET), "{redacted}");
            prop_assert!(redacted.contains(&key));
            prop_assert_eq!(redact(&redacted), redacted.clone());
        }

        #[test]
        fn any_text_is_a_query(query in "(?s).*") {
            let redacted = redact(&query);
            prop_assert_eq!(redacted.matches('&').count(), query.matches('&').count());
        }

        #[test]
        fn no_credential_survives_in_a_full_url(user in "[A-Za-z0-9:%._~!$-]{0,12}", path in "[a-z/]{0,12}") {
            let uri = format!("https://{user}{SECRET}@a.example/{path}");
            if let Ok(uri) = uri.parse::<Uri>() {
                let expected = format!("https://REDACTED:REDACTED@a.example/{path}");
                prop_assert_eq!(url(&uri), Some(expected));
            }
        }
    }
}
