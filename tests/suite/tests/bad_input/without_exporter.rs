//! The same requests without an exporter.

use suite_tests::{backend::Source, net::serve};

use crate::{
    forwarded::forwarded,
    hosts::hosts,
    methods::methods,
    servers::{placements_and_backends, router, send, serve_layered},
    targets::targets,
    trace_headers::trace_headers,
    user_agents::user_agents,
};

#[tokio::test]
async fn responses_are_unchanged_without_an_exporter() {
    let discarding = Source::discarding();
    let plain = serve(router()).await;
    let groups = [
        trace_headers(),
        hosts(),
        methods(),
        targets(),
        user_agents(),
        forwarded(),
    ];
    for case in groups.into_iter().flatten() {
        let expected = send(plain, &case.bytes).await;
        for (placement, backend) in placements_and_backends() {
            let layered = serve_layered(placement, backend.layer(&discarding, case.layer())).await;
            let case_name = case.text();
            assert_eq!(send(layered, &case.bytes).await, expected, "{case_name}");
        }
    }
}
