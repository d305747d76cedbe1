//! Attributes as bytes, one after the other, in a place that is already there.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use opentelemetry::KeyValue;
use tower_otel_semconv::{HostPort, attribute};

use super::keys;

/// How many bytes there is room for: a request with the user agent of a browser.
const ROOM: usize = 232;

/// What stands in front of a value: its key, what it is, and how long it is.
const HEAD: usize = 4;

/// How many values there is room for that live as long as the program.
const FIXED: usize = 4;

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Written {
    Text,
    Int,
    Address,
    /// The value of a header, which is text or nothing.
    Header,
    /// `server.address`, and `server.port` where one is written.
    Host,
    /// The same; where none is written, it is 80.
    HttpHost,
    /// The same; where none is written, it is 443.
    HttpsHost,
}

impl Written {
    const ALL: [Self; 7] = [
        Self::Text,
        Self::Int,
        Self::Address,
        Self::Header,
        Self::Host,
        Self::HttpHost,
        Self::HttpsHost,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Attributes that were copied, and not made yet.
#[derive(Clone, Copy)]
pub(super) struct Tape {
    len: u16,
    fixed: u8,
    codes: [u8; FIXED],
    values: [&'static str; FIXED],
    bytes: [u8; ROOM],
}

impl Tape {
    pub(super) const fn new() -> Self {
        Self {
            len: 0,
            fixed: 0,
            codes: [0; FIXED],
            values: [""; FIXED],
            bytes: [0; ROOM],
        }
    }

    /// Forgets what was written.
    pub(super) fn rewind(&mut self) {
        (self.len, self.fixed) = (0, 0);
    }

    /// Whether there was room.
    pub(super) fn fix(&mut self, code: u8, value: &'static str) -> bool {
        let at = usize::from(self.fixed);
        let (Some(place), Some(key)) = (self.values.get_mut(at), self.codes.get_mut(at)) else {
            return false;
        };
        (*key, *place) = (code, value);
        self.fixed += 1;
        true
    }

    /// Whether there was room. A call for each attribute costs less than its code at each of them.
    #[inline(never)]
    pub(super) fn write(&mut self, code: u8, what: Written, value: &[u8]) -> bool {
        let start = usize::from(self.len);
        let place = self
            .bytes
            .get_mut(start..)
            .and_then(<[u8]>::split_first_chunk_mut::<HEAD>)
            .and_then(|(head, place)| Some((head, place.get_mut(..value.len())?)));
        let Some((head, place)) = place else {
            return false;
        };
        // What has room is shorter than that.
        let len = value.len() as u16;
        let [low, high] = len.to_le_bytes();
        *head = [code, what as u8, low, high];
        place.copy_from_slice(value);
        self.len += HEAD as u16 + len;
        true
    }

    /// The first text under this key.
    pub(super) fn find(&self, code: u8) -> Option<&str> {
        if let Some((_, value)) = self.fixed().find(|(has, _)| *has == code) {
            return Some(value);
        }
        let (_, _, value) = self.entries().find(|(has, _, _)| *has == code)?;
        std::str::from_utf8(value).ok()
    }

    fn fixed(&self) -> impl Iterator<Item = (u8, &'static str)> {
        let fixed = self.codes.iter().copied().zip(self.values);
        fixed.take(usize::from(self.fixed))
    }

    fn entries(&self) -> Entries<'_> {
        Entries(self.bytes.get(..usize::from(self.len)).unwrap_or_default())
    }

    /// Makes the attributes.
    pub(super) fn attributes(&self) -> Vec<KeyValue> {
        // With room for a port, the status, and what else may come.
        let mut attributes = Vec::with_capacity(FIXED + self.entries().count() + 3);
        let fixed = self.fixed();
        attributes
            .extend(fixed.filter_map(|(code, value)| Some(KeyValue::new(keys::key(code)?, value))));
        for (code, what, value) in self.entries() {
            if let (Some(key), Some(what)) = (keys::key(code), Written::of(what)) {
                make(key, what, value, &mut attributes);
            }
        }
        attributes
    }
}

/// What was written, from the first to the last: key, what it is, and value.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[code, what, low, high], rest) = self.0.split_first_chunk::<HEAD>()?;
        let len = u16::from_le_bytes([low, high]).into();
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((code, what, value))
    }
}

fn make(key: &'static str, what: Written, value: &[u8], attributes: &mut Vec<KeyValue>) {
    let made = match what {
        Written::Text => text(value),
        Written::Int => value
            .try_into()
            .ok()
            .map(|int| i64::from_le_bytes(int).into()),
        Written::Address => address(value).map(|address| address.to_string().into()),
        Written::Header => text(value).filter(|_| value.iter().all(is_visible)),
        Written::Host => return server(value, None, attributes),
        Written::HttpHost => return server(value, Some("http"), attributes),
        Written::HttpsHost => return server(value, Some("https"), attributes),
    };
    attributes.extend(made.map(|value| KeyValue::new(key, value)));
}

fn text(value: &[u8]) -> Option<opentelemetry::Value> {
    Some(std::str::from_utf8(value).ok()?.to_owned().into())
}

/// What headers may hold as text.
fn is_visible(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

fn server(text: &[u8], scheme: Option<&str>, attributes: &mut Vec<KeyValue>) {
    let server = HostPort::parse_bytes(text).map(|server| server.or_default_port(scheme));
    if let Some(HostPort { host, port }) = server {
        attributes.push(KeyValue::new(attribute::SERVER_ADDRESS, host.to_owned()));
        let port = port.map(|port| KeyValue::new(attribute::SERVER_PORT, i64::from(port)));
        attributes.extend(port);
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("len", &self.len)
            .field("fixed", &self.fixed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_is_has_one_number() {
        for (number, what) in (0..).zip(Written::ALL) {
            assert_eq!(what as u8, number);
            assert_eq!(Written::of(number), Some(what));
        }
        assert_eq!(Written::of(255), None);
    }
}
