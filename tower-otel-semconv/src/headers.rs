//! Headers that are read only if they occur exactly once.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Returns the value of a header that occurs exactly once. Returns `None` if it is missing or repeated.
#[doc(hidden)]
pub fn single_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    // Most messages repeat no header. Comparing two lengths is cheaper than iterating over the values.
    if headers.len() == headers.keys_len() {
        return headers.get(name);
    }
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Returns the `Content-Length` of a message in bytes, if the header occurs exactly once and is a number.
#[doc(hidden)]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = single_header(headers, &header::CONTENT_LENGTH)?;
    if !value.as_bytes().iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn another_header_may_occur_twice() {
        let mut headers = HeaderMap::new();
        let value = |headers: &HeaderMap| single_header(headers, &header::HOST).cloned();
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
    fn content_length_is_a_single_number() {
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
