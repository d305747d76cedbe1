//! Compares two texts line by line.

use similar::{ChangeTag, TextDiff};

/// Returns all lines. Lines that are only in the expected text start with `-`, lines that are only in the recorded
/// text with `+`.
pub(crate) fn diff(expected: &str, recorded: &str) -> String {
    TextDiff::from_lines(expected, recorded)
        .iter_all_changes()
        .map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            format!("{sign} {change}")
        })
        .collect()
}
