//! Lists of `key=value` pairs, as in `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS`.

/// The error of a list member that is not `key=value` with a percent-encoded value. It does not contain the text, which may be
/// a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidPair;

/// Returns the key and the decoded value of each member that is not empty.
pub(crate) fn pairs(list: &str) -> impl Iterator<Item = Result<(String, String), InvalidPair>> {
    list.split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .map(|member| {
            let (key, value) = member.split_once('=').ok_or(InvalidPair)?;
            let key = key.trim();
            match percent_decode(value.trim()) {
                Some(value) if !key.is_empty() => Ok((key.to_owned(), value)),
                _ => Err(InvalidPair),
            }
        })
}

/// Returns the decoded text. `None` if it is not percent-encoded UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2)?;
        // `from_str_radix` accepts a sign.
        if hex.starts_with('+') {
            return None;
        }
        decoded.push(u8::from_str_radix(hex, 16).ok()?);
        decoded.extend(part.as_bytes().iter().skip(2));
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_percent_decoded_and_invalid_pairs_show_no_value() {
        let found: Vec<_> = pairs("a=1, b = x%20y ,,c,=d,e=%zz,f=%C3%A4").collect();
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(
            found,
            [
                pair("a", "1"),
                pair("b", "x y"),
                Err(InvalidPair),
                Err(InvalidPair),
                Err(InvalidPair),
                pair("f", "ä"),
            ]
        );
        for invalid in ["%", "%1", "%+1", "%ff", "%€"] {
            assert_eq!(percent_decode(invalid), None, "{invalid}");
        }
    }
}
