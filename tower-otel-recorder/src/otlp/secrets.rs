//! The credentials in the headers of requests. A collector may repeat them in its texts.

use std::fmt;

use http::HeaderMap;

use crate::otlp::error_text::shorten;

/// The minimum length of a secret. Shorter values, such as `1` or `true`, are part of many texts.
const MIN_LENGTH: usize = 6;

/// Values that are not logged, the longest first.
pub(crate) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Returns the values of the sensitive headers, also without a scheme such as `Bearer`.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let sensitive = headers.values().filter(|value| value.is_sensitive());
        let mut values: Vec<String> = sensitive
            .filter_map(|value| value.to_str().ok())
            // Clean texts of collectors have single spaces.
            .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .flat_map(|value| {
                let credentials = value.split_once(' ').map(|(_, after)| after.to_owned());
                [Some(value), credentials]
            })
            .flatten()
            .filter(|value| value.len() >= MIN_LENGTH)
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// Returns a short text without the secrets.
    pub(crate) fn log_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.0 {
            text = text.replace(value, "REDACTED");
        }
        shorten(text)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn sensitive_values_are_redacted_with_and_without_their_scheme() {
        let header = |name, value, is_sensitive| {
            let mut value = HeaderValue::from_static(value);
            value.set_sensitive(is_sensitive);
            (HeaderName::from_static(name), value)
        };
        let secrets = Secrets::new(&HeaderMap::from_iter([
            header("authorization", "Bearer  s3cret-t0ken", true),
            header("x-tenant", "1", true),
            header("user-agent", "public", false),
        ]));
        for (text, expected) in [
            ("1 public text", "1 public text"),
            ("no s3cret-t0ken here", "no REDACTED here"),
            ("no Bearer s3cret-t0ken", "no REDACTED"),
            ("bearer s3cret-t0ken", "bearer REDACTED"),
        ] {
            assert_eq!(secrets.log_text(text), expected);
        }
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }
}
