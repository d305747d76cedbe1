//! Names and labels as they are rendered.

use std::borrow::Cow;

use metrics::{Key, Label};

/// The maximum length of a name and of a label value, in bytes. Values may come from clients.
const MAX_LENGTH: usize = 256;

/// The maximum number of labels of a series.
const MAX_LABELS: usize = 64;

/// The end of a value that is cut.
const ELLIPSIS: &str = "…";

/// Returns whether all texts of a key are stored uncut.
pub(crate) fn is_bounded(key: &Key) -> bool {
    let is_short = |text: &str| text.len() <= MAX_LENGTH;
    is_short(key.name())
        && key.labels().len() <= MAX_LABELS
        && key
            .labels()
            .all(|label| is_short(label.key()) && is_short(label.value()))
}

/// Returns the longest prefix of a text that has at most `length` bytes.
fn start(text: &str, length: usize) -> &str {
    let mut lengths = (0..=length.min(text.len())).rev();
    lengths
        .find_map(|length| text.get(..length))
        .unwrap_or_default()
}

/// Returns the rendered name of a metric.
pub(crate) fn metric_name(raw: &str) -> Cow<'_, str> {
    sanitize(raw, |char| char == ':')
}

/// Replaces characters with `_`, except ASCII letters, digits after the first position, `_` and those that
/// `is_allowed` accepts. Cuts the text to [`MAX_LENGTH`].
fn sanitize(raw: &str, is_allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    let raw = start(raw, MAX_LENGTH);
    let is_valid = |(index, char): (usize, char)| {
        char.is_ascii_alphabetic()
            || char == '_'
            || is_allowed(char)
            || index > 0 && char.is_ascii_digit()
    };
    if raw.is_empty() {
        Cow::Borrowed("_")
    } else if raw.chars().enumerate().all(is_valid) {
        Cow::Borrowed(raw)
    } else {
        let chars = raw.chars().enumerate();
        Cow::Owned(
            chars
                .map(|(index, char)| if is_valid((index, char)) { char } else { '_' })
                .collect(),
        )
    }
}

/// Returns whether one of the labels has this rendered name and this value.
pub(crate) fn has_label<'a>(
    mut labels: impl Iterator<Item = &'a Label>,
    name: &str,
    value: &str,
) -> bool {
    labels.any(|label| label.value() == value && label_name(label.key()) == name)
}

/// Renders the name of a label.
pub(crate) fn label_name(raw: &str) -> Cow<'_, str> {
    sanitize(raw, |_| false)
}

/// Renders the labels between the braces of a series. Equal sets of labels give equal texts.
///
/// Labels are sorted by name. Labels with an empty value are omitted, because Prometheus does not
/// distinguish them from absent labels. If a name is given twice, the last value applies. A long value is
/// cut and ends with [`ELLIPSIS`]. The names `__name__` and `reserved` get the prefix `exported_`, which
/// Prometheus uses for conflicting labels. Without the prefix, Prometheus would reject the whole scrape.
pub(crate) fn label_text<'a>(
    labels: impl Iterator<Item = &'a Label>,
    reserved: Option<&str>,
) -> String {
    let mut named: Vec<(Cow<'a, str>, &'a str)> = Vec::new();
    for label in labels.take(MAX_LABELS) {
        let mut name = label_name(label.key());
        if name == "__name__" || Some(&*name) == reserved {
            name.to_mut().insert_str(0, "exported_");
        }
        match named.iter_mut().find(|(other, _)| *other == name) {
            Some((_, value)) => *value = label.value(),
            None => named.push((name, label.value())),
        }
    }
    named.retain(|(_, value)| !value.is_empty());
    named.sort_unstable();
    let mut text = String::new();
    for (name, value) in named {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&name);
        text.push_str("=\"");
        if value.len() <= MAX_LENGTH {
            escape(&mut text, value, true);
        } else {
            escape(&mut text, start(value, MAX_LENGTH - ELLIPSIS.len()), true);
            text.push_str(ELLIPSIS);
        }
        text.push('"');
    }
    text
}

/// Appends `raw` with escapes. Quotes are escaped if `quoted` is set: for label values, and for help texts of
/// OpenMetrics.
///
/// Every backslash is escaped, so that different values have different texts.
pub(crate) fn escape(text: &mut String, raw: &str, quoted: bool) {
    for char in raw.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quoted => text.push_str("\\\""),
            char => text.push(char),
        }
    }
}

/// Names and values of labels.
pub(crate) type Labels = Vec<(String, String)>;

/// Parses the labels between two braces. Stops at the first label that is not in the format.
pub(crate) fn parse_labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while let Some((name, after)) = text.split_once("=\"") {
        let mut escaped = false;
        let end = after.char_indices().find(|(_, char)| {
            let closes = *char == '"' && !escaped;
            escaped = *char == '\\' && !escaped;
            closes
        });
        let Some((value, next)) =
            end.and_then(|(end, _)| Some((after.get(..end)?, after.get(end + 1..)?)))
        else {
            break;
        };
        labels.push((name.to_owned(), unescape(value)));
        text = next.strip_prefix(',').unwrap_or(next);
    }
    labels
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    fn labels(labels: &[(&'static str, &'static str)]) -> String {
        let labels: Vec<_> = labels.iter().map(Label::from).collect();
        label_text(labels.iter(), Some("le"))
    }

    #[test]
    fn characters_that_prometheus_does_not_allow_become_underscores() {
        for (raw, name) in [
            ("foo1:bar_2", "foo1:bar_2"),
            ("1foo", "_foo"),
            ("foo.bar-baz", "foo_bar_baz"),
            ("größe", "gr__e"),
            ("*", "_"),
            ("", "_"),
        ] {
            assert_eq!(metric_name(raw), name);
        }
        assert_eq!(labels(&[("1a:b.é", "x")]), "_a_b__=\"x\"");
    }

    #[test]
    fn backslash_quote_and_newline_are_escaped_in_label_values() {
        assert_eq!(
            labels(&[("a", "C:\\dir\n\"é\"\\\\")]),
            r#"a="C:\\dir\n\"é\"\\\\""#
        );
        assert_ne!(labels(&[("a", "\\")]), labels(&[("a", "\\\\")]));
    }

    #[test]
    fn equal_label_sets_render_alike() {
        let sorted = "a=\"1\",b=\"2\"";
        assert_eq!(labels(&[("a", "1"), ("b", "2")]), sorted);
        assert_eq!(labels(&[("b", "2"), ("a", "1")]), sorted);
        assert_eq!(labels(&[("a", "0"), ("b", "2"), ("a", "1")]), sorted);
        assert_eq!(labels(&[("a", "1"), ("c", ""), ("b", "2")]), sorted);
        assert_eq!(labels(&[("a", "")]), "");
    }

    #[test]
    fn reserved_label_names_get_a_prefix() {
        assert_eq!(
            labels(&[("le", "5"), ("__name__", "x"), ("level", "6")]),
            "exported___name__=\"x\",exported_le=\"5\",level=\"6\""
        );
        let le = Label::new("le", "5");
        assert_eq!(label_text([&le].into_iter(), None), "le=\"5\"");
    }

    #[test]
    fn rendered_labels_are_parsed() {
        let value = "C:\\dir\n\"é\"\\\\, {y}";
        let text = labels(&[("b", "x"), ("a", value)]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parse_labels(&text), [pair("a", value), pair("b", "x")]);
        for malformed in ["a", "b=\"", "=\"\\\"", "a=\"x"] {
            assert_eq!(parse_labels(malformed), []);
        }
    }

    #[test]
    fn long_values_are_cut_and_marked() {
        let just = "a".repeat(256);
        let text = |value: String| {
            let label = Label::new("a", value);
            label_text([&label].into_iter(), None)
        };
        assert_eq!(text(just.clone()), format!("a=\"{just}\""));
        let cut = "a".repeat(253) + "…";
        assert_eq!(text(just + "a"), format!("a=\"{cut}\""));
        let cut = "ä".repeat(126) + "…";
        assert_eq!(text("ä".repeat(10_000)), format!("a=\"{cut}\""));
        assert_eq!(metric_name(&"n".repeat(10_000)).len(), 256);
    }
}
