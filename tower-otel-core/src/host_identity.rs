//! A host as an address or a name, for comparisons.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tower_otel_semconv::HostPort;

/// The identity of a host. Different notations of one address are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostIdentity<'a> {
    /// An address. An IPv4-mapped IPv6 address is the IPv4 address.
    Address(IpAddr),
    /// A name, without a dot at its end. It is not resolved.
    Name(&'a str),
}

impl<'a> HostIdentity<'a> {
    /// Parses a host: a name, or an address in any notation that resolvers accept, with or without brackets and zone.
    ///
    /// Returns `None` for any other text.
    pub(crate) fn parse(host: &'a str) -> Option<Self> {
        let inside = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let address = inside.unwrap_or(host);
        let address = address
            .split_once('%')
            .map_or(address, |(address, _)| address);
        if let Ok(address) = address.parse::<Ipv6Addr>() {
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if inside.is_some() || HostPort::parse(host)?.host != host {
            return None;
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.is_empty() || name.split('.').any(str::is_empty) {
            return None;
        }
        if name.rsplit('.').next().is_some_and(is_number) {
            let address = parse_ipv4(name)?;
            return Some(Self::Address(address.into()));
        }
        Some(Self::Name(name))
    }

    /// Parses a host that may have a port.
    pub(crate) fn parse_with_port(text: &'a str) -> Option<Self> {
        Self::parse(text).or_else(|| Self::parse(HostPort::parse(text)?.host))
    }
}

/// Returns whether a label makes a host an IPv4 address, by the
/// [URL Standard](https://url.spec.whatwg.org/#ends-in-a-number-checker).
fn is_number(label: &str) -> bool {
    let hexadecimal = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Parses an IPv4 address as `inet_aton` does: one to four numbers, decimal, octal or hexadecimal. The last one fills
/// the remaining bytes.
fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut bits = 0_u32;
    let mut free_bits = 32_u32;
    let mut numbers = text.split('.').peekable();
    while let Some(number) = numbers.next() {
        let number = parse_number(number)?;
        let width = if numbers.peek().is_some() {
            8
        } else {
            free_bits
        };
        if width == 0 || u64::from(number) >> width != 0 {
            return None;
        }
        free_bits = free_bits.checked_sub(width)?;
        bits |= number.checked_shl(free_bits)?;
    }
    Some(Ipv4Addr::from_bits(bits))
}

fn parse_number(text: &str) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match (hexadecimal, text.strip_prefix('0')) {
        (Some(""), _) => return Some(0),
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    // The standard library accepts a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_has_one_to_four_numbers() {
        for case in [
            "127.1 = 127.0.0.1",
            "1.2.3 = 1.2.0.3",
            "1.65535 = 1.0.255.255",
            "4294967295 = 255.255.255.255",
            "0 = 0.0.0.0",
            "0x = 0.0.0.0",
            "0xC0.0250.01 = 192.168.0.1",
            "127.0.0.1. = 127.0.0.1",
        ] {
            let parsed = case.split_once(" = ").map(|(text, address)| {
                let expected = address.parse().map(HostIdentity::Address).ok();
                HostIdentity::parse(text) == expected && expected.is_some()
            });
            assert_eq!(parsed, Some(true), "{case}");
        }
    }

    #[test]
    fn other_texts_are_no_host() {
        for text in "|.|..|a..b|1.2.3.4.5|256.1|1.256.1|1.2.3.256|4294967296|0x1ffffffff|a.0x1ffffffff|09|1.0x1g.08|a b|a:1|[a]|[1.2.3.4]|::1::|a%20b|+1.-2|ä"
            .split('|')
        {
            assert_eq!(HostIdentity::parse(text), None, "{text}");
        }
        for name in ["a", "1.a", "a.1a", "0x1g.x", "xn--bcher-kva.example"] {
            assert_eq!(HostIdentity::parse(name), Some(HostIdentity::Name(name)));
        }
    }
}
