//! Forwarded headers never fail to be read, those of a peer that is not trusted are ignored, and a host that is
//! returned is valid.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr};
use tower_otel_semconv::{Endpoint, HostPort, TrustedProxies};

const NAMES: [HeaderName; 4] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

// The first byte of a line chooses its header.
fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some((which, line)) = line.split_first() else {
            continue;
        };
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(&NAMES[usize::from(which & 3)], value);
        }
    }
    let peer = Endpoint {
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        port: Some(4711),
    };

    let strangers = TrustedProxies::default().resolve(&headers, Some(peer));
    assert_eq!(strangers.client, Some(peer));
    assert!(strangers.proto.is_none() && strangers.host.is_none());

    let ours = TrustedProxies::cidrs(["10.0.0.0/8"]).expect("a range");
    for proxies in [
        TrustedProxies::all(),
        TrustedProxies::hops(1),
        TrustedProxies::hops(3),
        ours,
    ] {
        let forwarded = proxies.resolve(&headers, Some(peer));
        if let Some(host) = forwarded.host {
            assert!(HostPort::parse(&host).is_some());
        }
    }
});
