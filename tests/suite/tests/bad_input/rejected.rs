//! Requests that are no HTTP.

use suite_tests::{backend::Backend, net::serve, telemetry::TestTelemetry};
use tower_otel_trace::TraceLayer;

use crate::servers::{Placement, router, send, serve_layered};

#[tokio::test]
async fn requests_that_the_http_library_rejects_are_not_recorded() {
    let plain = serve(router()).await;
    let many = "a: b\r\n".repeat(200);
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /things/7 HTTP/9.9\r\n\r\n",
        b"GET / things/7 HTTP/1.1\r\n\r\n",
        b"GET /things/7 HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /things/7 HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET /things/7 HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"POST /things/7 HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST /things/7 HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"\x00\xff\x00\xff\r\n\r\n",
        format!("GET /things/7 HTTP/1.1\r\n{many}\r\n").as_bytes(),
    ] {
        let case_name = bytes.escape_ascii().to_string();
        let expected = send(plain, bytes).await;
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let layer = backend.layer(telemetry.source(), TraceLayer::server());
            let layered = serve_layered(Placement::AroundRouter, layer).await;
            assert_eq!(send(layered, bytes).await, expected, "{case_name}");
            assert_eq!(telemetry.spans(), [], "{case_name}");
            assert_eq!(
                telemetry.sum("http_requests_total", &[]),
                0.0,
                "{case_name}"
            );
        }
    }
}
