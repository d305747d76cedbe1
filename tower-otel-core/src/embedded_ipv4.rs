//! IPv6 addresses that reach an IPv4 address through a translator or a tunnel.

use std::net::{IpAddr, Ipv4Addr};

/// Returns the IPv4 addresses that a connection to an address may reach: the address itself, or those that an IPv6 address
/// embeds.
///
/// The prefix for local NAT64 has several lengths, so one address may embed several IPv4 addresses.
pub(crate) fn ipv4_addresses(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let v6 = match address {
        IpAddr::V4(v4) => return [Some(v4), None, None, None].into_iter().flatten(),
        IpAddr::V6(v6) => v6,
    };
    let octets = v6.octets();
    let v4 = |places: [usize; 4]| {
        let octets = places.map(|place| octets.get(place).copied().unwrap_or_default());
        Some(Ipv4Addr::from(octets))
    };
    let last = v4([12, 13, 14, 15]);
    // ISATAP (RFC 5214), with any prefix.
    let isatap = last.filter(|_| matches!(v6.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, ..]));
    let addresses = match v6.segments() {
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None, None, None],
        // NAT64 with a prefix of 48, 56, 64 or 96 bits (RFC 8215). Byte 8 is not part of the address.
        [0x64, 0xff9b, 1, ..] => [
            v4([6, 7, 9, 10]),
            v4([7, 9, 10, 11]),
            v4([9, 10, 11, 12]),
            last,
        ],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [v4([2, 3, 4, 5]), isatap, None, None],
        // Teredo (RFC 4380): the server, and the client with all bits inverted.
        [0x2001, 0, ..] => [v4([4, 5, 6, 7]), last.map(inverted), isatap, None],
        // SIIT (RFC 2765).
        [0, 0, 0, 0, 0xffff, 0, ..] => [last, None, None, None],
        // IPv4-compatible (RFC 4291).
        [0, 0, 0, 0, 0, 0, ..] if !v6.is_loopback() => [last, None, None, None],
        _ => [isatap, None, None, None],
    };
    addresses.into_iter().flatten()
}

fn inverted(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(!u32::from(address))
}
