//! Both protocols, plain and compressed.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use tower_otel_recorder::{OtlpExporter, Recorder, SpanCounts};

/// Longer than a few retries take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    pub(crate) fn exporter(self, address: impl std::fmt::Display) -> OtlpExporter {
        let exporter = match self {
            Self::Grpc => OtlpExporter::grpc(format!("http://{address}")),
            Self::Http => OtlpExporter::http(format!("http://{address}/v1/traces")),
        };
        exporter.timeout(TIMEOUT)
    }
}

/// Runs a test over both protocols, plain and compressed, at the same time.
pub(crate) fn over_both(test: impl Fn(Protocol, bool) + Sync) {
    std::thread::scope(|scope| {
        for protocol in [Protocol::Grpc, Protocol::Http] {
            for gzip in [false, true] {
                scope.spawn({
                    let test = &test;
                    move || test(protocol, gzip)
                });
            }
        }
    });
}

/// Returns an address that refuses connections until a collector listens.
pub(crate) fn unused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn counts(recorder: &Recorder) -> [u64; 4] {
    let SpanCounts {
        exported,
        rejected,
        failed,
        dropped,
        ..
    } = recorder.counts();
    [exported, rejected, failed, dropped]
}
