//! A cache of strings per thread, for values that repeat in most requests.
//!
//! Without it, the thread of the request allocates each string and the export thread frees it, which is slow for both.

use std::{array, cell::RefCell, net::IpAddr, sync::Arc};

use opentelemetry::StringValue;

use crate::span_name_cache::hash_ends;

/// The number of cached texts per thread, and of cached addresses.
const SLOTS: usize = 32;

/// The maximum length of a cached text.
const MAX_LENGTH: usize = 256;

thread_local! {
    static TEXTS: RefCell<Cache<Arc<str>>> = RefCell::default();
    static ADDRESSES: RefCell<Cache<(IpAddr, Arc<str>)>> = RefCell::default();
}

/// One entry per slot. A new entry replaces the previous one.
struct Cache<T>([Option<T>; SLOTS]);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(array::from_fn(|_| None))
    }
}

impl<T> Cache<T> {
    fn get(
        &mut self,
        slot: usize,
        is_match: impl Fn(&T) -> bool,
        make: impl Fn() -> T,
    ) -> Option<&T> {
        let entry = self.0.get_mut(slot % SLOTS)?;
        if !entry.as_ref().is_some_and(is_match) {
            *entry = Some(make());
        }
        entry.as_ref()
    }
}

/// Returns a text, shared with recent requests of this thread.
pub(crate) fn text(text: &str) -> StringValue {
    if text.len() > MAX_LENGTH {
        return text.to_owned().into();
    }
    let cached = TEXTS.try_with(|texts| {
        let mut texts = texts.try_borrow_mut().ok()?;
        let slot = (hash_ends(text.as_bytes(), 0) >> 56) as usize;
        texts
            .get(slot, |cached| **cached == *text, || Arc::from(text))
            .cloned()
    });
    match cached {
        Ok(Some(cached)) => cached.into(),
        _ => text.to_owned().into(),
    }
}

/// Returns an address as text, shared with recent requests of this thread.
pub(crate) fn address(address: IpAddr) -> StringValue {
    let cached = ADDRESSES.try_with(|addresses| {
        let mut addresses = addresses.try_borrow_mut().ok()?;
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let make = || (address, Arc::from(address.to_string()));
        let is_match = |(cached, _): &(IpAddr, Arc<str>)| *cached == address;
        let cached = addresses.get(usize::from(last), is_match, make);
        cached.map(|(_, text)| Arc::clone(text))
    });
    match cached {
        Ok(Some(text)) => text.into(),
        _ => address.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_text_is_the_same_whether_or_not_it_is_cached() {
        let long = "x".repeat(MAX_LENGTH + 1);
        let distinct: Vec<String> = (0..1000).map(|n| format!("agent/{n}")).collect();
        let texts = ["", "a", "shop.example", "/users/{id}", &long];
        for round in 0..3 {
            for expected in texts.into_iter().chain(distinct.iter().map(String::as_str)) {
                assert_eq!(text(expected).as_str(), expected, "round {round}");
            }
        }
    }

    #[test]
    fn a_repeated_text_is_not_copied() {
        let [first, second] = [(); 2].map(|()| text("shop.example"));
        assert_eq!(first.as_str().as_ptr(), second.as_str().as_ptr());
    }

    #[test]
    fn addresses_that_share_a_slot_are_distinguished() {
        for _ in 0..3 {
            for third in 0..100 {
                let v4 = Ipv4Addr::new(10, 0, third, 1);
                assert_eq!(address(v4.into()).as_str(), v4.to_string());
                let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, third.into(), 1);
                assert_eq!(address(v6.into()).as_str(), v6.to_string());
            }
        }
    }
}
