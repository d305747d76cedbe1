//! The example does what its first lines say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

#[test]
fn spans_end_and_requests_are_counted_without_tokio() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-smol"))
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
        &[
            "HTTP server",
            r#"otel.name="GET /hello""#,
            "http.response.status_code=200",
        ][..],
        &["HTTP client", "http.response.status_code=200"][..],
        &[
            r#"http_requests_total{method="GET",path="#,
            r#"status="200"} 1"#,
        ][..],
    ] {
        let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has {words:?} in\n{text}");
    }
}
