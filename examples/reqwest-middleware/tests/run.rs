//! The example does what its first lines say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

#[test]
fn every_attempt_has_a_span_of_its_own() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-reqwest-middleware"))
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
        &["7 spans"][..],
        &["order"][..],
        &["├─ GET ", "client 503"][..],
        &["server 503"][..],
        &["├─ GET ", "client 503"][..],
        &["server 503"][..],
        &["└─ GET ", "client 200"][..],
        &["└─ GET /items/{sku}", "server 200"][..],
        &["200 OK: 7 left"][..],
    ] {
        let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has {words:?} in\n{text}");
    }
}
