//! One call of a real channel to a real server.

use suite_tests::{
    backend::Backend,
    grpc_calls::{
        Client, ExpectedStatus, assert_grpc_attributes, assert_status, client, server,
        server_and_client_spans,
    },
    telemetry::{TestTelemetry, attribute, integer, text},
};
use tower_otel_trace::TraceLayer;

/// Makes one call and checks the spans of both ends.
pub(crate) async fn call(
    method: &str,
    make_call: impl AsyncFn(Client),
    expected_server: ExpectedStatus,
    expected_client: ExpectedStatus,
) {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let to = server(&telemetry, backend, TraceLayer::server().grpc()).await;
        make_call(client(&telemetry, backend, TraceLayer::client().grpc(), to)).await;
        let (server, client) = server_and_client_spans(&telemetry, backend).await;
        for (span, expected) in [(&server, expected_server), (&client, expected_client)] {
            assert_eq!(span.name, format!("shop.Cart/{method}"), "{span:#?}");
            assert_eq!(
                text(span, "rpc.method"),
                Some(format!("shop.Cart/{method}"))
            );
            assert_eq!(attribute(span, "rpc.method_original"), None);
            assert_status(span, expected);
            assert_grpc_attributes(span);
            assert_eq!(text(span, "server.address").as_deref(), Some("127.0.0.1"));
            assert_eq!(integer(span, "server.port"), Some(to.port().into()));
        }
        let peer = text(&server, "network.peer.address");
        assert_eq!(peer.as_deref(), Some("127.0.0.1"));
        assert!(integer(&server, "network.peer.port").is_some());
    }
}
