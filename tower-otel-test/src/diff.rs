//! Two texts, line by line.

use similar::{ChangeTag, TextDiff};

/// Lines that are expected alone begin with `-`, those that were recorded alone with `+`.
pub(crate) fn difference(expected: &str, recorded: &str) -> String {
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
