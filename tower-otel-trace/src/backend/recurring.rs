//! Texts that come again with most requests, kept by each thread so that they need not be copied.

use std::{array, cell::RefCell, net::IpAddr, sync::Arc};

use opentelemetry::StringValue;
use tower_otel_semconv::HostPort;

use crate::names::ends;

/// How many texts a thread keeps, and as many addresses.
const PLACES: usize = 32;

/// Longer texts are copied.
const LONGEST: usize = 256;

thread_local! {
    static TEXTS: RefCell<Kept<Arc<str>>> = RefCell::default();
    static SERVERS: RefCell<Kept<Server>> = RefCell::default();
    static ADDRESSES: RefCell<Kept<(IpAddr, Arc<str>)>> = RefCell::default();
}

/// The last of those that share a place.
struct Kept<T>([Option<T>; PLACES]);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(array::from_fn(|_| None))
    }
}

impl<T> Kept<T> {
    fn get(
        &mut self,
        place: usize,
        is: impl Fn(&T) -> bool,
        make: impl Fn() -> Option<T>,
    ) -> Option<&T> {
        let kept = self.0.get_mut(place % PLACES)?;
        if !kept.as_ref().is_some_and(is) {
            *kept = Some(make()?);
        }
        kept.as_ref()
    }
}

/// A server, and the text in which it was found.
struct Server {
    text: Box<[u8]>,
    host: Arc<str>,
    port: Option<u16>,
}

impl Server {
    fn read(text: &[u8]) -> Option<Self> {
        let HostPort { host, port } = HostPort::parse_bytes(text)?;
        Some(Self {
            text: text.into(),
            host: host.into(),
            port,
        })
    }
}

/// A text, shared with the last requests that brought it.
pub(super) fn text(text: &str) -> StringValue {
    if text.len() > LONGEST {
        return text.to_owned().into();
    }
    let kept = TEXTS.try_with(|texts| {
        let mut texts = texts.try_borrow_mut().ok()?;
        let make = || Some(Arc::from(text));
        texts
            .get(place(text.as_bytes()), |kept| **kept == *text, make)
            .cloned()
    });
    match kept {
        Ok(Some(kept)) => kept.into(),
        _ => text.to_owned().into(),
    }
}

/// A host and its port, if they are in the text.
pub(super) fn server(text: &[u8]) -> Option<(StringValue, Option<u16>)> {
    let shared = |server: &Server| (Arc::clone(&server.host).into(), server.port);
    if text.len() > LONGEST {
        return Server::read(text).as_ref().map(shared);
    }
    let kept = SERVERS.try_with(|servers| {
        let mut servers = servers.try_borrow_mut().ok()?;
        let make = || Server::read(text);
        servers
            .get(place(text), |server| *server.text == *text, make)
            .map(shared)
    });
    kept.unwrap_or_else(|_| Server::read(text).as_ref().map(shared))
}

/// An address as text.
pub(super) fn address(address: IpAddr) -> StringValue {
    let kept = ADDRESSES.try_with(|addresses| {
        let mut addresses = addresses.try_borrow_mut().ok()?;
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let make = || Some((address, Arc::from(address.to_string())));
        let kept = addresses.get(usize::from(last), |(kept, _)| *kept == address, make);
        kept.map(|(_, text)| Arc::clone(text))
    });
    match kept {
        Ok(Some(text)) => text.into(),
        _ => address.to_string().into(),
    }
}

fn place(text: &[u8]) -> usize {
    (ends(text, 0) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_text_is_the_same_whether_it_is_kept_or_not() {
        let long = "x".repeat(LONGEST + 1);
        let distinct: Vec<String> = (0..1000).map(|n| format!("agent/{n}")).collect();
        let texts = ["", "a", "shop.example", "/users/{id}", &long];
        for round in 0..3 {
            for expected in texts.into_iter().chain(distinct.iter().map(String::as_str)) {
                assert_eq!(text(expected).as_str(), expected, "round {round}");
            }
        }
    }

    #[test]
    fn a_text_that_comes_again_is_not_copied() {
        let [first, second] = [(); 2].map(|()| text("shop.example"));
        assert_eq!(first.as_str().as_ptr(), second.as_str().as_ptr());
    }

    #[test]
    fn a_server_is_read_alike_whether_it_is_kept_or_not() {
        let long = "h".repeat(LONGEST + 1);
        for _ in 0..3 {
            for text in [
                "a.example:81",
                "a.example",
                "[::1]:80",
                "a b",
                "a:b",
                "",
                &long,
            ] {
                let expected = HostPort::parse(text).map(|read| (read.host.to_owned(), read.port));
                let read = server(text.as_bytes());
                let read = read.map(|(host, port)| (host.as_str().to_owned(), port));
                assert_eq!(read, expected, "{text:?}");
            }
        }
    }

    #[test]
    fn addresses_that_share_a_place_are_told_apart() {
        for _ in 0..3 {
            for third in 0..100 {
                let four = Ipv4Addr::new(10, 0, third, 1);
                assert_eq!(address(four.into()).as_str(), four.to_string());
                let six = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, third.into(), 1);
                assert_eq!(address(six.into()).as_str(), six.to_string());
            }
        }
    }
}
