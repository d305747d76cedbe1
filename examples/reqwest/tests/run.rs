//! The example does what its first lines say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

#[test]
fn one_request_is_answered_and_one_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-reqwest"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // In this order.
    let mut lines = text.lines();
    for words in [
        &["GET ", "client 200"][..],
        &["└─ GET /items/{sku}", "server 200"][..],
        &["client ERR", "error.type=connection_refused"][..],
        &["http_client_requests_total{", r#"status="200"} 1"#][..],
    ] {
        let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has {words:?} in\n{text}");
    }
}
