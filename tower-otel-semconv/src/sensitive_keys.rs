//! Redaction of secrets in URLs.
//!
//! The query of a signed URL contains its signature, and the authority of a URL may contain a password. The
//! conventions replace both with `REDACTED`.
//!
//! See [URL attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/), `url.full` and
//! `url.query`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::target::Target;

/// The text that replaces a secret: `REDACTED`.
pub const REDACTED: &str = "REDACTED";

/// Signatures of AWS, Azure and Google Cloud: the list of the conventions. They are case-sensitive.
const SIGNATURE_KEYS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
];

/// Parameters that are credentials by a standard or by their name, in lower case, without `-` and `_`.
const CREDENTIAL_KEYS: [&str; 18] = [
    // OAuth 2.0 and OpenID Connect: RFC 6749, 6750, 7009, 7521, 7636 and 8628.
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "idtokenhint",
    "token",
    "code",
    "codeverifier",
    "devicecode",
    "clientsecret",
    "clientassertion",
    "assertion",
    // Custom authentication.
    "authtoken",
    "apikey",
    "jwt",
    "password",
    "passwd",
    "pwd",
    "secret",
];

/// The length of the longest of [`CREDENTIAL_KEYS`].
const MAX_CREDENTIAL_KEY: usize = "clientassertion".len();

/// The query parameters whose values are redacted.
///
/// Default: the keys in this table. The keys of a query are percent-decoded before the comparison.
///
/// | keys | reason | comparison |
/// |---|---|---|
/// | `X-Amz-Signature`, `X-Amz-Credential`, `X-Amz-Security-Token`, `AWSAccessKeyId`, `Signature`, `sig`, `X-Goog-Signature` | the list of the conventions: signed URLs of AWS, Azure and Google Cloud | case-sensitive |
/// | `access_token`, `refresh_token`, `id_token`, `id_token_hint`, `token`, `code`, `code_verifier`, `device_code`, `client_secret`, `client_assertion`, `assertion` | OAuth 2.0 and OpenID Connect | ignores `-`, `_` and letter case: also `accessToken` |
/// | `auth_token`, `api_key`, `jwt`, `password`, `passwd`, `pwd`, `secret` | credentials by their name | ignores `-`, `_` and letter case |
///
/// `code` is redacted because an authorization code gives access to an account. `key`, `session` and `state` are not
/// redacted, because they are not secret in most queries.
///
/// [`new`](Self::new) replaces the list. Its keys are case-sensitive. Cloning is cheap.
///
/// See [URL attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/), `url.query`.
///
/// ```
/// use tower_otel_semconv::SensitiveKeys;
///
/// let keys = SensitiveKeys::default();
/// assert_eq!(keys.query("page=2&sig=s3cr3t"), "page=2&sig=REDACTED");
/// assert_eq!(keys.query("page=2&s%69g=s3cr3t"), "page=2&s%69g=REDACTED");
/// assert_eq!(keys.query("code=s3cr3t&state=7"), "code=REDACTED&state=7");
/// assert_eq!(SensitiveKeys::new(["email"]).query("sig=a&email=b"), "sig=a&email=REDACTED");
/// ```
#[derive(Clone, Debug, Default)]
pub struct SensitiveKeys(Option<Arc<[Box<str>]>>);

impl SensitiveKeys {
    /// Creates a list of exactly these keys, in decoded form. An empty list redacts nothing.
    pub fn new<I>(keys: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Box<str>>,
    {
        Self(Some(keys.into_iter().map(Into::into).collect()))
    }

    /// Redacts the values of sensitive keys in a query without its `?`.
    ///
    /// Some servers accept `;` as a separator. So a key after `;` is also compared, but its value is redacted up to the next
    /// `&`, so that no part of a secret remains. Allocates only if a value is redacted.
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

    /// Returns `url.full`: the target with user information and the values of sensitive keys redacted.
    ///
    /// Returns `None` if the target has no scheme or no authority.
    ///
    /// ```
    /// use tower_otel_semconv::{SensitiveKeys, Target};
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

    /// Returns the position of the first sensitive value in `key=value`.
    fn value_start(&self, pair: &str) -> Option<usize> {
        let mut start = 0;
        for part in pair.split(';') {
            if let Some((key, _)) = part.split_once('=')
                && self.contains(key)
            {
                return Some(start + key.len() + 1);
            }
            start += part.len() + 1;
        }
        None
    }

    fn contains(&self, encoded: &str) -> bool {
        let matches = |key: &str| key.len() <= encoded.len() && decode(encoded).eq(key.bytes());
        match &self.0 {
            None => SIGNATURE_KEYS.into_iter().any(matches) || is_credential(encoded),
            Some(keys) => keys.iter().any(|key| matches(key)),
        }
    }
}

/// Returns whether an encoded key is one of [`CREDENTIAL_KEYS`], ignoring `-`, `_` and letter case.
fn is_credential(encoded: &str) -> bool {
    let mut key = [0; MAX_CREDENTIAL_KEY];
    let mut length = 0;
    for byte in decode(encoded).filter(|byte| !b"-_".contains(byte)) {
        let Some(place) = key.get_mut(length) else {
            return false;
        };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let key = key.get(..length).unwrap_or_default();
    CREDENTIAL_KEYS
        .into_iter()
        .any(|name| name.as_bytes() == key)
}

/// Percent-decodes a key. `+` is a space; `%` without two hexadecimal digits is unchanged.
fn decode(encoded: &str) -> impl Iterator<Item = u8> {
    let mut remaining = encoded.as_bytes();
    std::iter::from_fn(move || {
        let (&first, tail) = remaining.split_first()?;
        remaining = tail;
        Some(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', &[high, low, ref tail @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    remaining = tail;
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
    fn the_value_of_a_sensitive_key_is_redacted() {
        for case in [
            "sig=x => sig=REDACTED",
            "sig= => sig=REDACTED",
            "a=b&Signature=x&c=d => a=b&Signature=REDACTED&c=d",
            "sig=x&sig=y => sig=REDACTED&sig=REDACTED",
            "sig=x=y== => sig=REDACTED",
            "%73ig=x => %73ig=REDACTED",
            "%73%69%67=x => %73%69%67=REDACTED",
            "X%2DAmz%2dSignature=x => X%2DAmz%2dSignature=REDACTED",
            "a=b;sig=x;y&c=d => a=b;sig=REDACTED&c=d",
            "&&sig=x& => &&sig=REDACTED&",
        ] {
            let (query, redacted) = case.split_once(" => ").unwrap();
            assert_eq!(redact(query), redacted);
        }
    }

    #[test]
    fn credentials_are_redacted_in_any_spelling() {
        for key in "access_token refresh_token id_token id_token_hint token code code_verifier device_code client_secret \
                    client_assertion assertion auth_token api_key apikey jwt password passwd pwd secret \
                    accessToken ACCESS_TOKEN access-token Api-Key apiKey Password TOKEN client%5Fsecret %63ode"
            .split_whitespace()
        {
            let query = format!("a=b&{key}=s3cr3t&c=d");
            assert_eq!(redact(&query), format!("a=b&{key}=REDACTED&c=d"));
        }
        for key in "key state session page_token codes zip_code tokens secrets encode apikeys client_assertion_type \
                    _ - %5f keyboard_layout_of_the_user"
            .split_whitespace()
        {
            let query = format!("a=b&{key}=open&c=d");
            assert_eq!(redact(&query), query);
        }
    }

    #[test]
    fn a_query_without_sensitive_keys_is_borrowed() {
        for query in
            "|a=b|SIG=x|sig|signature=x|sigs=x|%=x|%7=x|si%zzg=x|a=sig|\u{e9}=\u{fc}".split('|')
        {
            let redacted = SensitiveKeys::default().query(query);
            assert!(
                matches!(redacted, Cow::Borrowed(same) if same == query),
                "{query}"
            );
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let keys = SensitiveKeys::new(["api key", "tökén"]);
        assert_eq!(
            keys.query("sig=x&api+key=y&api%20key=z"),
            "sig=x&api+key=REDACTED&api%20key=REDACTED"
        );
        assert_eq!(keys.query("t%C3%B6k%c3%a9n=x"), "t%C3%B6k%c3%a9n=REDACTED");
        assert_eq!(SensitiveKeys::new::<[&str; 0]>([]).query("sig=x"), "sig=x");
    }

    #[test]
    fn a_full_url_contains_everything_but_secrets() {
        for case in [
            "http://a.example => http://a.example/",
            "http://a.example:80/b => http://a.example:80/b",
            "https://u:p@a.example/ => https://REDACTED:REDACTED@a.example/",
            "https://u@a.example/ => https://REDACTED:REDACTED@a.example/",
            "https://[::1]:8443/b?c => https://[::1]:8443/b?c",
            "https://a.example/?sig=x => https://a.example/?sig=REDACTED",
            "https://a.example/b? => https://a.example/b?",
        ] {
            let (uri, full) = case.split_once(" => ").unwrap();
            assert_eq!(url(&uri.parse().unwrap()).as_deref(), Some(full));
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
        fn no_secret_remains_in_a_query(
            before in "[a-z&;=%+é]{0,12}",
            key in proptest::sample::select([&SIGNATURE_KEYS[..], &CREDENTIAL_KEYS].concat()),
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
        fn any_query_has_as_many_pairs_after_redaction(query in "(?s).*") {
            let redacted = redact(&query);
            prop_assert_eq!(redacted.matches('&').count(), query.matches('&').count());
        }

        #[test]
        fn no_credential_remains_in_a_full_url(user in "[A-Za-z0-9:%._~!$-]{0,12}", path in "[a-z/]{0,12}") {
            let uri = format!("https://{user}{SECRET}@a.example/{path}");
            if let Ok(uri) = uri.parse::<Uri>() {
                let expected = format!("https://REDACTED:REDACTED@a.example/{path}");
                prop_assert_eq!(url(&uri), Some(expected));
            }
        }
    }
}
