//! Attributes as bytes, one after the other, in a place that is already there.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use opentelemetry::KeyValue;
use tower_otel_core::semconv::rpc;

use super::{super::Attributes, keys};

/// How many bytes there is room for: a request with the user agent of a browser.
const ROOM: usize = 240;

/// What stands in front of a value: its key, its type, and how long it is.
const HEAD: usize = 4;

const TEXT: u8 = 0;
const FIXED: u8 = 1;
const INT: u8 = 2;
const ADDRESS: u8 = 3;

/// Attributes that were copied, and not made yet. What has no room is made at once.
pub(super) struct Tape {
    len: usize,
    bytes: [u8; ROOM],
    more: Vec<KeyValue>,
}

impl Tape {
    pub(super) const fn new() -> Self {
        Self {
            len: 0,
            bytes: [0; ROOM],
            more: Vec::new(),
        }
    }

    /// An attribute that was made by somebody else.
    pub(super) fn push(&mut self, attribute: KeyValue) {
        self.more.push(attribute);
    }

    /// How many attributes were made, and not copied.
    pub(super) fn made(&self) -> usize {
        self.more.len()
    }

    /// Whether there was room.
    #[inline]
    fn write(&mut self, key: &'static str, kind: u8, value: &[u8]) -> bool {
        let (Some(code), Ok(len)) = (keys::code(key), u16::try_from(value.len())) else {
            return false;
        };
        let end = self.len + HEAD + value.len();
        let Some((head, place)) = self
            .bytes
            .get_mut(self.len..end)
            .and_then(<[u8]>::split_first_chunk_mut::<HEAD>)
        else {
            return false;
        };
        let [low, high] = len.to_le_bytes();
        *head = [code, kind, low, high];
        place.copy_from_slice(value);
        self.len = end;
        true
    }

    /// The first text under this key, be it copied or made.
    pub(super) fn find(&self, key: &str) -> Option<&str> {
        let code = keys::code(key)?;
        if let Some((_, _, value)) = self.entries().find(|(has, _, _)| *has == code) {
            return std::str::from_utf8(value).ok();
        }
        let made = self.more.iter().find(|made| made.key.as_str() == key)?;
        match &made.value {
            opentelemetry::Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    fn entries(&self) -> Entries<'_> {
        Entries(self.bytes.get(..self.len).unwrap_or_default())
    }

    /// Makes the attributes, in the order in which they came.
    pub(super) fn into_attributes(mut self) -> Vec<KeyValue> {
        let made = std::mem::take(&mut self.more);
        let mut attributes = Vec::with_capacity(self.entries().count() + made.len());
        for (code, kind, value) in self.entries() {
            let Some(key) = keys::key(code) else { continue };
            attributes.extend(make(key, kind, value));
        }
        attributes.extend(made);
        attributes
    }
}

impl Attributes for Tape {
    #[inline]
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            if !self.write(key, TEXT, value.as_bytes()) {
                self.push(KeyValue::new(key, value.to_owned()));
            }
        }
    }

    #[inline]
    fn owned(&mut self, key: &'static str, value: Option<String>) {
        if let Some(value) = value {
            if !self.write(key, TEXT, value.as_bytes()) {
                self.push(KeyValue::new(key, value));
            }
        }
    }

    #[inline]
    fn fixed(&mut self, key: &'static str, value: Option<&'static str>) {
        if let Some(value) = value {
            if !self.write(key, FIXED, value.as_bytes()) {
                self.push(KeyValue::new(key, value));
            }
        }
    }

    #[inline]
    fn int(&mut self, key: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            if !self.write(key, INT, &value.to_le_bytes()) {
                self.push(KeyValue::new(key, value));
            }
        }
    }

    #[inline]
    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        let written = match value {
            None => return,
            Some(IpAddr::V4(address)) => self.write(key, ADDRESS, &address.octets()),
            Some(IpAddr::V6(address)) => self.write(key, ADDRESS, &address.octets()),
        };
        if let Some(address) = value.filter(|_| !written) {
            self.push(KeyValue::new(key, address.to_string()));
        }
    }
}

/// What was written, from the first to the last: key, type and value.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[code, kind, low, high], rest) = self.0.split_first_chunk::<HEAD>()?;
        let len = u16::from_le_bytes([low, high]).into();
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((code, kind, value))
    }
}

fn make(key: &'static str, kind: u8, value: &[u8]) -> Option<KeyValue> {
    Some(match kind {
        INT => KeyValue::new(key, i64::from_le_bytes(value.try_into().ok()?)),
        ADDRESS => KeyValue::new(key, address(value)?.to_string()),
        _ => {
            let text = std::str::from_utf8(value).ok()?;
            match known(text).filter(|_| kind == FIXED) {
                Some(known) => KeyValue::new(key, known),
                None => KeyValue::new(key, text.to_owned()),
            }
        }
    })
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

/// Texts that need not be copied once more.
fn known(text: &str) -> Option<&'static str> {
    ["http", "https", "1.1", "2", "1.0", "3", rpc::SYSTEM]
        .into_iter()
        .find(|known| *known == text)
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("len", &self.len)
            .field("made", &self.more.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tower_otel_core::semconv::attribute;

    #[test]
    fn what_was_copied_is_made_as_it_was() {
        let (v4, v6) = ("192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
        let mut tape = Tape::new();
        tape.text(attribute::URL_PATH, Some("/users/7"));
        tape.text(attribute::URL_QUERY, None);
        tape.fixed(attribute::URL_SCHEME, Some("https"));
        tape.port(attribute::SERVER_PORT, Some(8443));
        tape.address(attribute::CLIENT_ADDRESS, Some(v4));
        tape.address(attribute::NETWORK_PEER_ADDRESS, Some(v6));
        tape.owned(attribute::URL_FULL, Some("http://h/".to_owned()));
        assert_eq!(tape.made(), 0);
        assert_eq!(tape.find(attribute::URL_PATH), Some("/users/7"));
        tape.push(KeyValue::new("own", true));
        assert_eq!(
            tape.into_attributes(),
            [
                KeyValue::new("url.path", "/users/7"),
                KeyValue::new("url.scheme", "https"),
                KeyValue::new("server.port", 8443),
                KeyValue::new("client.address", "192.0.2.7"),
                KeyValue::new("network.peer.address", "2001:db8::7"),
                KeyValue::new("url.full", "http://h/"),
                KeyValue::new("own", true),
            ]
        );
    }

    #[test]
    fn what_has_no_room_is_there_all_the_same() {
        let long = "x".repeat(ROOM);
        let mut tape = Tape::new();
        tape.text(attribute::URL_PATH, Some(&long));
        tape.text(attribute::URL_QUERY, Some("a=b"));
        tape.text(attribute::USER_AGENT_ORIGINAL, Some(&"y".repeat(70_000)));
        tape.text("not.of.the.conventions", Some("z"));
        tape.int("nor.this", Some(1));
        let made = tape.into_attributes();
        let mut keys: Vec<_> = made.iter().map(|made| made.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "nor.this",
                "not.of.the.conventions",
                "url.path",
                "url.query",
                "user_agent.original"
            ]
        );
        assert!(made.contains(&KeyValue::new("url.path", long)));
    }

    #[test]
    fn texts_of_every_length_around_the_end_are_whole() {
        for length in 0..=ROOM {
            let text = "x".repeat(length);
            let mut tape = Tape::new();
            tape.text(attribute::URL_PATH, Some(&text));
            tape.text(attribute::URL_QUERY, Some(&text));
            let made = tape.into_attributes();
            assert_eq!(made.len(), 2);
            assert!(made.contains(&KeyValue::new("url.path", text.clone())));
            assert!(made.contains(&KeyValue::new("url.query", text)));
        }
    }
}
