//! The example does what its first lines say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

#[test]
fn calls_end_well_with_an_error_and_early() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-tonic"))
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
        &["grpc.health.v1.Health/Check", "client"][..],
        &["└─ grpc.health.v1.Health/Check", "server"][..],
        &["Health/Check", "client ERR", "error.type=NOT_FOUND"][..],
        &["NotFound"][..],
        &["grpc.health.v1.Health/Watch", "client"][..],
        &["└─ grpc.health.v1.Health/Watch", "server"][..],
    ] {
        let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has {words:?} in\n{text}");
    }
}
