//! Texts that come again with most requests, kept by each thread so that they need not be copied.

use std::{array, cell::RefCell, net::IpAddr, sync::Arc};

use opentelemetry::StringValue;

use crate::names::ends;

/// How many texts a thread keeps, and as many addresses.
const PLACES: usize = 32;

/// Longer texts are copied.
const LONGEST: usize = 256;

thread_local! {
    static TEXTS: RefCell<Kept<Arc<str>>> = RefCell::default();
    static ADDRESSES: RefCell<Kept<(IpAddr, Arc<str>)>> = RefCell::default();
}

/// The last of those that share a place.
struct Kept<T>([Option<T>; PLACES]);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(array::from_fn(|_| None))
    }
}

impl<T: Clone> Kept<T> {
    fn get(&mut self, place: usize, is: impl Fn(&T) -> bool, make: impl Fn() -> T) -> T {
        match self.0.get_mut(place % PLACES) {
            Some(Some(kept)) if is(kept) => kept.clone(),
            Some(other) => other.insert(make()).clone(),
            None => make(),
        }
    }
}

/// A text, shared with the last requests that brought it.
pub(super) fn text(text: &str) -> StringValue {
    let kept = || {
        let make = || Arc::from(text);
        TEXTS.try_with(|texts| {
            let mut texts = texts.try_borrow_mut().ok()?;
            Some(texts.get(
                (ends(text, 0) >> 56) as usize,
                |kept: &Arc<str>| **kept == *text,
                make,
            ))
        })
    };
    match (text.len() <= LONGEST).then(kept) {
        Some(Ok(Some(kept))) => kept.into(),
        _ => text.to_owned().into(),
    }
}

/// An address as text.
pub(super) fn address(address: IpAddr) -> StringValue {
    let make = || (address, Arc::from(address.to_string()));
    let kept = ADDRESSES.try_with(|addresses| {
        let mut addresses = addresses.try_borrow_mut().ok()?;
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        Some(addresses.get(usize::from(last), |(kept, _)| *kept == address, make))
    });
    match kept {
        Ok(Some((_, text))) => text.into(),
        _ => address.to_string().into(),
    }
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
