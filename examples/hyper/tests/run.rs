//! The example does what its first lines say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

#[test]
fn its_own_requests_are_traced_and_counted() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-hyper"))
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
        &["└─ GET /items/{sku}", "server 200", "/items/chair"][..],
        &["client 200"][..],
        &["server 200", "/favicon.ico"][..],
        &[r#"http_requests_total{method="GET",path="unmatched",status="200"} 1"#][..],
    ] {
        let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has {words:?} in\n{text}");
    }
}
