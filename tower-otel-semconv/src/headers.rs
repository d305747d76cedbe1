//! Header values that are only used when they are unambiguous.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The value of a header that has exactly one.
pub fn only_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    // Most messages have no header twice, and that is known before any is looked up.
    if headers.len() == headers.keys_len() {
        return headers.get(name);
    }
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The one `Content-Length` of a message, if it has exactly one and it is a number.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = only_value(headers, &header::CONTENT_LENGTH)?;
    if !value.as_bytes().iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_value_is_the_only_one_whatever_else_is_there_twice() {
        let mut headers = HeaderMap::new();
        let value = |headers: &HeaderMap| only_value(headers, &header::HOST).cloned();
        assert_eq!(value(&headers), None);
        let host = HeaderValue::from_static("a.example");
        headers.append(header::HOST, host.clone());
        assert_eq!(value(&headers), Some(host.clone()));
        for _ in 0..2 {
            headers.append(header::VIA, HeaderValue::from_static("1.1 proxy"));
        }
        assert_eq!(value(&headers), Some(host.clone()));
        headers.append(header::HOST, host);
        assert_eq!(value(&headers), None);
    }

    #[test]
    fn only_a_single_plain_content_length_counts() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_LENGTH, HeaderValue::from_static(value));
            }
            content_length(&headers)
        };
        assert_eq!(with(&["12"]), Some(12));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["12", "12"]), None);
        assert_eq!(with(&["+12"]), None);
        assert_eq!(with(&["twelve"]), None);
        assert_eq!(with(&["99999999999999999999999"]), None);
    }
}
