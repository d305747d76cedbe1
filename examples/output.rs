//! Runs an example that ends without a signal, and checks its output.

use std::process::Command;

/// Runs `program` and asserts that it succeeds and that its output has matching lines in the order of
/// each list. A line matches an entry if it contains all words of the entry.
///
/// A separate thread prints the traces, so their lines are one list, and the other lines of the program are another.
#[allow(
    clippy::unwrap_used,
    reason = "a program that does not run fails the test"
)]
pub(crate) fn assert_lines_in_order(program: &str, expected: &[&[&[&str]]]) {
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for list in expected {
        let mut lines = text.lines();
        for words in *list {
            let found = lines.any(|line| words.iter().all(|word| line.contains(word)));
            assert!(found, "no line with {words:?} in\n{text}");
        }
    }
}
