//! Any forwarded headers parse, and those of untrusted peers are ignored.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr};
use tower_otel_semconv::{Endpoint, HostPort, Proxies};

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

    let untrusted = Proxies::none().believe(&headers, Some(peer));
    assert_eq!(untrusted.client, Some(peer));
    assert!(untrusted.proto.is_none() && untrusted.host.is_none());

    let internal = Proxies::cidrs(["10.0.0.0/8"]).expect("a range");
    for proxies in [Proxies::all(), Proxies::hops(1), Proxies::hops(3), internal] {
        let resolved = proxies.believe(&headers, Some(peer));
        if let Some(host) = resolved.host {
            assert!(HostPort::parse(&host).is_some());
        }
    }
});
