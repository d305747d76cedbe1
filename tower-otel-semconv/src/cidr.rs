//! A range of IP addresses: `10.0.0.0/8`.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of IP addresses. An IPv6 range contains no IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Returns `true` if the range contains the address. An IPv4-mapped address must be converted to IPv4 first.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
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
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = |reason| InvalidCidr {
            value: text.to_owned(),
            reason,
        };
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let network: IpAddr = address.parse().map_err(|_| invalid(Reason::Address))?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => Some(digits)
                .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|d| d.parse().ok())
                .filter(|&prefix| prefix <= bits)
                .ok_or_else(|| invalid(Reason::Prefix(bits)))?,
        };
        // An IPv4-mapped range is stored as IPv4, because addresses are converted to IPv4 before the comparison.
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

/// The error for an invalid range of IP addresses. Returned by
/// [`TrustedProxies::cidrs`](crate::TrustedProxies::cidrs).
///
/// Its message contains the text and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCidr {
    value: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Address,
    Prefix(u8),
}

impl fmt::Display for InvalidCidr {
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

impl Error for InvalidCidr {}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_contains_its_addresses() {
        for case in [
            "10.0.0.0/8 10.255.255.255 => true",
            "10.0.0.0/8 11.0.0.0 => false",
            "10.1.2.3/8 10.200.0.1 => true",
            "192.0.2.1 192.0.2.1 => true",
            "192.0.2.1 192.0.2.2 => false",
            "192.0.2.128/25 192.0.2.127 => false",
            "0.0.0.0/0 203.0.113.7 => true",
            "0.0.0.0/0 ::1 => false",
            "::/0 ::1 => true",
            "::/0 10.0.0.1 => false",
            "fd00::/8 fd12::1 => true",
            "fd00::/8 fe80::1 => false",
            "::1 ::1 => true",
            "::ffff:10.0.0.0/104 10.9.9.9 => true",
            " 10.0.0.0/8  10.0.0.1 => true",
        ] {
            let (texts, expected) = case.split_once(" => ").unwrap();
            let (range, address) = texts.rsplit_once(' ').unwrap();
            let range = range.parse::<Cidr>().unwrap();
            let contains = range.contains(address.parse().unwrap());
            assert_eq!(contains.to_string(), expected, "{case}");
        }
    }

    #[test]
    fn an_error_contains_the_invalid_range() {
        for case in [
            r#"10.0.0.0/33 => "10.0.0.0/33" needs a prefix from 0 to 32 after the slash"#,
            r#"::1/129 => "::1/129" needs a prefix from 0 to 128 after the slash"#,
            r#"10.0.0.0/ => "10.0.0.0/" needs a prefix from 0 to 32 after the slash"#,
            r#"10.0.0.0/+8 => "10.0.0.0/+8" needs a prefix from 0 to 32 after the slash"#,
            r#"proxy => "proxy" is not a range of addresses such as 10.0.0.0/8 or 2001:db8::/32"#,
            r#" => "" is not a range of addresses such as 10.0.0.0/8 or 2001:db8::/32"#,
        ] {
            let (range, message) = case.split_once(" => ").unwrap();
            let error = range.parse::<Cidr>().unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "(?s).*|[0-9a-f:./]{0,24}") {
            let _ = text.parse::<Cidr>();
        }

        #[test]
        fn a_range_contains_its_own_address(network in any::<IpAddr>(), prefix in 0_u8..=32) {
            let range = format!("{network}/{prefix}").parse::<Cidr>().unwrap();
            prop_assert!(range.contains(network) || network.to_canonical() != network);
        }
    }
}
