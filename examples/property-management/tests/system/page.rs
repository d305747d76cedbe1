//! The page of the api-server in a browser, with the spans of all processes.

use std::{env, net::TcpListener, process::Command};

use crate::harness::System;

/// The variable `PAGE_SCREENSHOTS` sets a directory for screenshots.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and Node: .ci/run page_in_chromium"]
async fn a_browser_shows_a_trace_across_three_services() {
    // A free port, which all processes need to know.
    let page = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let system = System::start_with_page(Some(page)).await;
    let flat = system.create_user_with_flat().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for path in ["description", "listing"] {
        let request = system.post(&format!("/properties/{flat}/{path}"), None);
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        let response = request
            .header("traceparent", traceparent)
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{path}");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/page/services.mjs");
    let mut node = Command::new("node");
    node.args([script, &format!("http://{page}"), trace])
        .args(env::var_os("PAGE_SCREENSHOTS"));
    assert!(node.status().unwrap().success());
}
