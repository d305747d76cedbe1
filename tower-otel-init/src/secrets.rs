//! The values of headers of requests. A collector may repeat them in its texts.

use std::cmp::Reverse;
use std::fmt;

use crate::otlp_headers::REDACTED;
use crate::userinfo;

/// The minimum length of a secret. Shorter values, such as `1` or `true`, are part of many texts.
const MIN_LENGTH: usize = 6;

/// Values that are not logged, the longest first.
#[derive(Default)]
pub(crate) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Returns the values of the headers, also without a scheme such as `Bearer`, and the passwords of the scheme `Basic`.
    pub(crate) fn new(headers: &[(String, String)]) -> Self {
        let values = headers.iter().map(|(_, value)| value.trim());
        let values = values.flat_map(|value| {
            let credentials = value.split_once(' ').map(|(_, after)| after.trim_start());
            let password = credentials.and_then(userinfo::password);
            [
                Some(value.to_owned()),
                credentials.map(str::to_owned),
                password,
            ]
        });
        let values = values.flatten().filter(|value| value.len() >= MIN_LENGTH);
        let mut values: Vec<_> = values.collect();
        values.sort_by_key(|value| Reverse(value.len()));
        Self(values)
    }

    /// Returns a text without the secrets. Call it before the text is cut: a part of a secret would remain.
    pub(crate) fn redact(&self, text: &str) -> String {
        let redact = |text: String, value: &String| text.replace(value, REDACTED);
        self.0.iter().fold(text.to_owned(), redact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_headers_are_redacted_with_and_without_their_scheme() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let secrets = Secrets::new(&[
            header("authorization", "Bearer  s3cret-t0ken"),
            header("x-tenant", "1"),
            header("proxy-authorization", "Basic bWU6czNjcmV0cHc="),
        ]);
        for (text, expected) in [
            ("1 text", "1 text"),
            ("no s3cret-t0ken here", "no REDACTED here"),
            ("no Bearer  s3cret-t0ken", "no REDACTED"),
            ("bearer s3cret-t0ken", "bearer REDACTED"),
            ("me: s3cretpw", "me: REDACTED"),
            ("bWU6czNjcmV0cHc=", "REDACTED"),
        ] {
            assert_eq!(secrets.redact(text), expected);
        }
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }
}
