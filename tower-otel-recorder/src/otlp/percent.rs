//! Percent-encoding.

/// Decodes `%XX`. Other bytes are unchanged.
pub(crate) fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut left = text;
    while let [first, rest @ ..] = left {
        let escaped = match rest {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                left = rest.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                left = rest;
            }
        }
    }
    decoded
}
