//! Counters, gauges and histograms in the text format, version 0.0.4.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

use metrics::Label;

use crate::histogram::AtomicHistogram;

/// The name as it is rendered: the same as the exporter's for summaries.
pub(crate) fn metric_name(raw: &str) -> Cow<'_, str> {
    valid(raw, |char| char == ':')
}

/// Letters, digits but in front, `_` and what is `also` allowed; anything else becomes `_`.
fn valid(raw: &str, also: impl Fn(char) -> bool) -> Cow<'_, str> {
    let fits = |(at, char): (usize, char)| {
        char.is_ascii_alphabetic() || char == '_' || also(char) || at > 0 && char.is_ascii_digit()
    };
    if raw.is_empty() {
        Cow::Borrowed("_")
    } else if raw.chars().enumerate().all(fits) {
        Cow::Borrowed(raw)
    } else {
        let chars = raw.chars().enumerate();
        Cow::Owned(
            chars
                .map(|(at, char)| if fits((at, char)) { char } else { '_' })
                .collect(),
        )
    }
}

/// What stands between the braces, the same text for whatever means the same labels: they are
/// sorted, for their order means nothing.
///
/// One without a value is left out, for to Prometheus it is not there; of a name given twice the
/// last value holds, as with the exporter. A name with a meaning in the format would make Prometheus
/// refuse the whole scrape: it is given the prefix that Prometheus itself gives to a label that is in
/// its way. Such a name is `__name__`, and the one that is `taken` by the lines themselves.
pub(crate) fn label_set<'a>(
    labels: impl Iterator<Item = &'a Label>,
    taken: Option<&str>,
) -> String {
    let mut named: Vec<(Cow<'a, str>, &'a str)> = Vec::new();
    for label in labels {
        let mut name = valid(label.key(), |_| false);
        if name == "__name__" || Some(&*name) == taken {
            name.to_mut().insert_str(0, "exported_");
        }
        match named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, value)) => *value = label.value(),
            None => named.push((name, label.value())),
        }
    }
    named.retain(|(_, value)| !value.is_empty());
    named.sort_unstable();
    between_braces(named)
}

fn between_braces(labels: Vec<(Cow<'_, str>, &str)>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&name);
        text.push_str("=\"");
        escape(&mut text, value, true);
        text.push('"');
    }
    text
}

/// Quotes stand for themselves in a help text. The exporter takes a backslash in front of another
/// or of a quote for an escape that was made already, and lets it go; the format knows no such
/// doubt, and values that differ must not become one.
fn escape(text: &mut String, raw: &str, quoted: bool) {
    for char in raw.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quoted => text.push_str("\\\""),
            char => text.push(char),
        }
    }
}

/// One counter or gauge: its head, then the value of each of its series.
pub(crate) fn values<'a>(
    text: &mut String,
    name: &str,
    help: Option<&str>,
    of: &str,
    series: impl IntoIterator<Item = (&'a str, impl Display)>,
) {
    head(text, name, help, of);
    for (labels, value) in series {
        let labels = braced(labels);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}{labels} {value}");
    }
    text.push('\n');
}

/// One histogram: its head, then each of its series.
pub(crate) fn histogram<'a>(
    text: &mut String,
    name: &str,
    help: Option<&str>,
    series: impl IntoIterator<Item = (&'a str, &'a AtomicHistogram)>,
) {
    head(text, name, help, "histogram");
    for (labels, histogram) in series {
        let _ = one(text, name, labels, histogram);
    }
    text.push('\n');
}

fn head(text: &mut String, name: &str, help: Option<&str>, of: &str) {
    if let Some(help) = help {
        text.push_str("# HELP ");
        text.push_str(name);
        text.push(' ');
        escape(text, help, false);
        text.push('\n');
    }
    let _ = writeln!(text, "# TYPE {name} {of}");
}

fn braced(labels: &str) -> String {
    match labels {
        "" => String::new(),
        labels => format!("{{{labels}}}"),
    }
}

/// A number as the format spells it.
pub(crate) struct Number(pub(crate) f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => value.fmt(f),
        }
    }
}

fn one(text: &mut String, name: &str, labels: &str, histogram: &AtomicHistogram) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    let bucket = |text: &mut String, le: &dyn Display, count: u64| {
        writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {count}")
    };
    let mut boundaries = histogram.boundaries().iter();
    let mut count = 0;
    for cumulative in histogram.cumulative() {
        count = cumulative;
        match boundaries.next() {
            Some(boundary) => bucket(text, boundary, count)?,
            None => bucket(text, &"+Inf", count)?,
        }
    }
    let labels = braced(labels);
    // Finite samples can add up to more than a number holds.
    let sum = Number(histogram.sum());
    writeln!(text, "{name}_sum{labels} {sum}")?;
    writeln!(text, "{name}_count{labels} {count}")
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use metrics::HistogramFn;

    use super::*;

    fn labels(labels: &[(&'static str, &'static str)]) -> String {
        let labels: Vec<_> = labels.iter().map(Label::from).collect();
        label_set(labels.iter(), Some("le"))
    }

    #[test]
    fn names_are_those_of_the_exporter() {
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
    fn labels_that_mean_the_same_are_the_same_text() {
        let sorted = "a=\"1\",b=\"2\"";
        assert_eq!(labels(&[("a", "1"), ("b", "2")]), sorted);
        assert_eq!(labels(&[("b", "2"), ("a", "1")]), sorted);
        assert_eq!(labels(&[("a", "0"), ("b", "2"), ("a", "1")]), sorted);
        assert_eq!(labels(&[("a", "1"), ("c", ""), ("b", "2")]), sorted);
        assert_eq!(labels(&[("a", "")]), "");
    }

    #[test]
    fn a_label_with_a_meaning_in_the_format_steps_aside() {
        assert_eq!(
            labels(&[("le", "5"), ("__name__", "x"), ("level", "6")]),
            "exported___name__=\"x\",exported_le=\"5\",level=\"6\""
        );
        let le = Label::new("le", "5");
        assert_eq!(label_set([&le].into_iter(), None), "le=\"5\"");
    }

    #[test]
    fn a_help_text_stays_on_its_line() {
        let mut text = String::new();
        histogram(&mut text, "a", Some("A \"b\"\\\nc."), []);
        assert_eq!(text, "# HELP a A \"b\"\\\\\\nc.\n# TYPE a histogram\n\n");
    }

    #[test]
    fn a_series_is_its_buckets_its_sum_and_its_count() {
        let histogram = AtomicHistogram::new([0.005, 1.0].into());
        for value in [0.001, 0.5, 0.25, f64::MAX, f64::MAX] {
            histogram.record(value);
        }
        let mut text = String::new();
        super::histogram(
            &mut text,
            "a",
            None,
            [("", &histogram), ("b=\"c\"", &histogram)],
        );
        assert_eq!(
            text,
            "# TYPE a histogram\n\
             a_bucket{le=\"0.005\"} 1\na_bucket{le=\"1\"} 3\na_bucket{le=\"+Inf\"} 5\n\
             a_sum +Inf\na_count 5\n\
             a_bucket{b=\"c\",le=\"0.005\"} 1\na_bucket{b=\"c\",le=\"1\"} 3\n\
             a_bucket{b=\"c\",le=\"+Inf\"} 5\na_sum{b=\"c\"} +Inf\na_count{b=\"c\"} 5\n\n"
        );
    }
}
