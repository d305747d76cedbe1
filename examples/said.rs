//! What the examples that end by themselves print, for their tests.

use std::process::Command;

/// Runs a program to its end. Its lines have these words, all those of one entry on one line, and the
/// entries in this order.
#[allow(
    clippy::unwrap_used,
    reason = "a program that does not run fails the test"
)]
pub(crate) fn in_this_order(program: &str, expected: &[&[&str]]) {
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut lines = text.lines();
    for words in expected {
        let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has {words:?} in\n{text}");
    }
}
