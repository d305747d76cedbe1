//! A range of addresses: `10.0.0.0/8`.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One range. IPv4 and IPv6 are different worlds: `::/0` holds no IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether an address lies in the range. The address must be canonical: IPv4 as IPv4.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_prefix(
                u128::from(network.to_bits()),
                u128::from(address.to_bits()),
                32 - self.prefix.min(32),
            ),
            (IpAddr::V6(network), IpAddr::V6(address)) => same_prefix(
                network.to_bits(),
                address.to_bits(),
                128 - self.prefix.min(128),
            ),
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, host_bits: u8) -> bool {
    (a ^ b).checked_shr(u32::from(host_bits)).unwrap_or(0) == 0
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let bad = |reason| BadCidr {
            value: text.to_owned(),
            reason,
        };
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let network: IpAddr = address.parse().map_err(|_| bad(Reason::Address))?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => Some(digits)
                .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|d| d.parse().ok())
                .filter(|&prefix| prefix <= bits)
                .ok_or_else(|| bad(Reason::Prefix(bits)))?,
        };
        // A mapped range is the IPv4 range it maps, because addresses are compared in that form.
        Ok(
            match (network, network.to_canonical(), prefix.checked_sub(96)) {
                (IpAddr::V6(_), mapped @ IpAddr::V4(_), Some(prefix)) => Self {
                    network: mapped,
                    prefix,
                },
                _ => Self { network, prefix },
            },
        )
    }
}

/// A text that names no range of addresses. Its message repeats the text and says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCidr {
    value: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Address,
    Prefix(u8),
}

impl BadCidr {
    /// The text as it was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for BadCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = &self.value;
        match self.reason {
            Reason::Address => write!(
                f,
                "{value:?} is not a range of addresses such as 10.0.0.0/8 or 2001:db8::/32"
            ),
            Reason::Prefix(bits) => write!(
                f,
                "{value:?} needs a prefix from 0 to {bits} after the slash"
            ),
        }
    }
}

impl Error for BadCidr {}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contains(range: &str, address: &str) -> bool {
        range
            .parse::<Cidr>()
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_addresses() {
        for (range, address, held) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3/8", "10.200.0.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "10.0.0.1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            (" 10.0.0.0/8 ", "10.0.0.1", true),
        ] {
            assert_eq!(contains(range, address), held, "{address} in {range}");
        }
    }

    #[test]
    fn a_bad_range_is_named_in_the_error() {
        for (range, message) in [
            (
                "10.0.0.0/33",
                r#""10.0.0.0/33" needs a prefix from 0 to 32 after the slash"#,
            ),
            (
                "::1/129",
                r#""::1/129" needs a prefix from 0 to 128 after the slash"#,
            ),
            (
                "10.0.0.0/",
                r#""10.0.0.0/" needs a prefix from 0 to 32 after the slash"#,
            ),
            (
                "10.0.0.0/+8",
                r#""10.0.0.0/+8" needs a prefix from 0 to 32 after the slash"#,
            ),
            (
                "proxy",
                r#""proxy" is not a range of addresses such as 10.0.0.0/8 or 2001:db8::/32"#,
            ),
            (
                "",
                r#""" is not a range of addresses such as 10.0.0.0/8 or 2001:db8::/32"#,
            ),
        ] {
            let error = range.parse::<Cidr>().unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.value(), range);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_range_or_an_error(text in "(?s).*|[0-9a-f:./]{0,24}") {
            let _ = text.parse::<Cidr>();
        }

        #[test]
        fn every_range_holds_its_own_address(network in any::<IpAddr>(), prefix in 0_u8..=32) {
            let range = format!("{network}/{prefix}").parse::<Cidr>().unwrap();
            prop_assert!(range.contains(network) || network.to_canonical() != network);
        }
    }
}
