//! The text format, version 0.0.4.

use std::fmt::{self, Display, Write};

use crate::{histogram::AtomicHistogram, labels::escape};

/// Appends a counter or a gauge with the value of each series.
pub(crate) fn write_values<'a>(
    text: &mut String,
    name: &str,
    help: Option<&str>,
    metric_type: &str,
    series: impl IntoIterator<Item = (&'a str, impl Display)>,
) {
    write_head(text, name, help, metric_type);
    for (labels, value) in series {
        let labels = in_braces(labels);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}{labels} {value}");
    }
    text.push('\n');
}

/// Appends a histogram with the buckets, sum and count of each series.
pub(crate) fn write_histogram<'a>(
    text: &mut String,
    name: &str,
    help: Option<&str>,
    series: impl IntoIterator<Item = (&'a str, &'a AtomicHistogram)>,
) {
    write_head(text, name, help, "histogram");
    for (labels, histogram) in series {
        let _ = write_buckets(text, name, labels, histogram);
    }
    text.push('\n');
}

fn write_head(text: &mut String, name: &str, help: Option<&str>, metric_type: &str) {
    if let Some(help) = help {
        text.push_str("# HELP ");
        text.push_str(name);
        text.push(' ');
        escape(text, help, false);
        text.push('\n');
    }
    let _ = writeln!(text, "# TYPE {name} {metric_type}");
}

fn in_braces(labels: &str) -> String {
    match labels {
        "" => String::new(),
        labels => format!("{{{labels}}}"),
    }
}

/// A number as the format spells it: infinities are `+Inf` and `-Inf`.
pub(crate) struct Float(pub(crate) f64);

impl Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => value.fmt(f),
        }
    }
}

fn write_buckets(
    text: &mut String,
    name: &str,
    labels: &str,
    histogram: &AtomicHistogram,
) -> fmt::Result {
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
    let labels = in_braces(labels);
    // The sum of finite samples can be infinite.
    let sum = Float(histogram.sum());
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

    #[test]
    fn a_newline_in_a_help_text_is_escaped() {
        let mut text = String::new();
        write_histogram(&mut text, "a", Some("A \"b\"\\\nc."), []);
        assert_eq!(text, "# HELP a A \"b\"\\\\\\nc.\n# TYPE a histogram\n\n");
    }

    #[test]
    fn a_series_has_buckets_sum_and_count() {
        let histogram = AtomicHistogram::new([0.005, 1.0].into(), false);
        for value in [0.001, 0.5, 0.25, f64::MAX, f64::MAX] {
            histogram.record(value);
        }
        let mut text = String::new();
        write_histogram(
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
