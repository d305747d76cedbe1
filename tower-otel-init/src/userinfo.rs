//! User and password of an endpoint.

use crate::key_value_list::percent_decode;

/// Returns the endpoint without user and password, and the value of `authorization` with them, if there are any.
///
/// Over gRPC they would be sent in `:authority`, which does not authenticate the client.
pub(crate) fn split(url: &str) -> (String, Option<String>) {
    let start = url.find("://").map_or(0, |colon| colon + "://".len());
    let (scheme, rest) = url.split_at(start);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((userinfo, host)) = authority.rsplit_once('@') else {
        return (url.to_owned(), None);
    };
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let [user, password] =
        [user, password].map(|text| percent_decode(text).unwrap_or_else(|| text.to_owned()));
    let credentials = base64(format!("{user}:{password}").as_bytes());
    let plain = format!("{scheme}{host}{path}");
    (plain, Some(format!("Basic {credentials}")))
}

/// Returns the password in credentials of the scheme `Basic`.
pub(crate) fn password(credentials: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(credentials.len());
    let (mut bits, mut count) = (0_u32, 0);
    for digit in credentials.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let (_, password) = text.split_once(':')?;
    Some(password.to_owned())
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes with padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or_default();
            let digit = DIGITS.get(index).filter(|_| digit <= group.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_become_a_header() {
        for (endpoint, plain, header) in [
            ("http://host/x@y", "http://host/x@y", None),
            ("http://me@host", "http://host", Some("Basic bWU6")),
            (
                "http://me:a:b@host:1/in",
                "http://host:1/in",
                Some("Basic bWU6YTpi"),
            ),
            (
                "http://me:%40@[::1]?k=v",
                "http://[::1]?k=v",
                Some("Basic bWU6QA=="),
            ),
            ("http://me:%zz@host", "http://host", Some("Basic bWU6JXp6")),
        ] {
            let (found, value) = split(endpoint);
            assert_eq!((&*found, value.as_deref()), (plain, header));
        }
    }
}
