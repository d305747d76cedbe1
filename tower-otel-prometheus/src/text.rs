//! The text format, version 0.0.4, and OpenMetrics 1.0.

use std::{
    fmt::{self, Display},
    io::Write,
    time::UNIX_EPOCH,
};

use crate::{
    exemplar::Exemplar, format::Format, histogram::AtomicHistogram, labels::escape, unit::unit_of,
};

/// The help text of a metric that the application does not describe.
const NOT_DESCRIBED: &str = "Not described.";

/// Returns the help text of a metric: the application's description, or [`NOT_DESCRIBED`].
pub(crate) fn help_text(description: Option<&str>) -> &str {
    let description = description.filter(|text| !text.is_empty());
    description.unwrap_or(NOT_DESCRIBED)
}

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Text,
    OpenMetrics,
}

/// Appends lines to a text.
pub(crate) struct TextWriter<'a> {
    out: &'a mut Vec<u8>,
    pub(crate) dialect: Dialect,
}

impl<'a> TextWriter<'a> {
    /// Returns a writer, or `None` if the format is not a text format.
    pub(crate) const fn new(out: &'a mut Vec<u8>, format: Format) -> Option<Self> {
        let dialect = match format {
            Format::Text => Dialect::Text,
            Format::OpenMetrics => Dialect::OpenMetrics,
            Format::Protobuf => return None,
        };
        Some(Self { out, dialect })
    }

    /// Appends help, type and unit of a metric.
    pub(crate) fn head(&mut self, name: &str, help: Option<&str>, metric_type: &str) {
        let mut escaped = String::new();
        let quoted = self.dialect == Dialect::OpenMetrics;
        escape(&mut escaped, help_text(help), quoted);
        self.line(format_args!("# HELP {name} {escaped}"));
        self.line(format_args!("# TYPE {name} {metric_type}"));
        if self.dialect == Dialect::OpenMetrics
            && let Some(unit) = unit_of(name)
        {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    /// Appends the value of a counter or a gauge.
    pub(crate) fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = LabelBraces(labels);
        self.line(format_args!("{name}{labels} {value}"));
    }

    /// Appends buckets, sum and count of a histogram.
    pub(crate) fn histogram(&mut self, name: &str, labels: &str, histogram: &AtomicHistogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut boundaries = histogram.boundaries().iter();
        let mut count = 0;
        for (index, cumulative) in histogram.cumulative().enumerate() {
            count = cumulative;
            let boundary = boundaries.next().copied().unwrap_or(f64::INFINITY);
            let le = Boundary {
                value: boundary,
                dialect: self.dialect,
            };
            let exemplar = match self.dialect {
                Dialect::OpenMetrics => histogram.exemplar(index),
                Dialect::Text => None,
            };
            let exemplar = ExemplarSuffix(exemplar);
            self.line(format_args!(
                "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {count}{exemplar}"
            ));
        }
        let sum = histogram.sum();
        if self.dialect == Dialect::OpenMetrics && !open_metrics_allows_sum(histogram, sum) {
            return;
        }
        let labels = LabelBraces(labels);
        // The sum of finite samples can be infinite.
        let sum = Float(sum);
        self.line(format_args!("{name}_sum{labels} {sum}"));
        self.line(format_args!("{name}_count{labels} {count}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a vector does not fail.
        let _ = self.out.write_fmt(line);
        self.out.push(b'\n');
    }
}

/// Returns whether OpenMetrics allows the sum of a histogram: no boundary is negative, and the sum is neither
/// negative nor NaN. Without a sum, OpenMetrics does not allow the count.
fn open_metrics_allows_sum(histogram: &AtomicHistogram, sum: f64) -> bool {
    let has_negative = histogram.boundaries().first().is_some_and(|low| *low < 0.0);
    !has_negative && sum >= 0.0
}

/// Renders labels after a name, in braces.
struct LabelBraces<'a>(&'a str);

impl Display for LabelBraces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            labels => write!(f, "{{{labels}}}"),
        }
    }
}

/// Renders an exemplar after the value of a bucket.
struct ExemplarSuffix(Option<Exemplar>);

impl Display for ExemplarSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Exemplar { span, value, at }) = self.0 else {
            return Ok(());
        };
        let (trace_id, span_id) = (Hex(&span.trace_id), Hex(&span.span_id));
        let labels = format_args!("{{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}}");
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, millis) = (since_epoch.as_secs(), since_epoch.subsec_millis());
        let value = Float(value);
        write!(f, " # {labels} {value} {seconds}.{millis:03}")
    }
}

/// An id in hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Renders a number. Infinities are `+Inf` and `-Inf`.
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

/// Renders the boundary of a bucket. In OpenMetrics it has Go's format, and always a fraction or an exponent.
struct Boundary {
    value: f64,
    dialect: Dialect,
}

impl Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        if self.dialect == Dialect::Text || value.is_infinite() {
            return Float(value).fmt(f);
        }
        let magnitude = value.abs();
        if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
            // The exponent has a sign and at least two digits: `1e+06`, where Rust writes `1e6`.
            let text = format!("{value:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            return write!(f, "{digits}e{sign}{exponent:0>2}");
        }
        // The debug format appends `.0` to integral values.
        write!(f, "{value:?}")
    }
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
    use crate::{cells::CellAllocator, exemplar::ExportedSpan};

    fn written(format: Format, write: impl FnOnce(&mut TextWriter<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut TextWriter::new(&mut out, format).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_newline_in_a_help_text_is_escaped() {
        let head = |format| {
            written(format, |text| {
                text.head("a", Some("A \"b\"\\\nc."), "histogram");
            })
        };
        assert_eq!(
            head(Format::Text),
            "# HELP a A \"b\"\\\\\\nc.\n# TYPE a histogram\n"
        );
        assert_eq!(
            head(Format::OpenMetrics),
            "# HELP a A \\\"b\\\"\\\\\\nc.\n# TYPE a histogram\n"
        );
    }

    #[test]
    fn every_metric_has_a_help_text_and_open_metrics_has_the_unit_of_its_name() {
        let head = |format| written(format, |text| text.head("a_seconds", None, "gauge"));
        let text = "# HELP a_seconds Not described.\n# TYPE a_seconds gauge\n";
        assert_eq!(head(Format::Text), text);
        let unit = format!("{text}# UNIT a_seconds seconds\n");
        assert_eq!(head(Format::OpenMetrics), unit);
    }

    #[test]
    fn a_series_has_buckets_sum_and_count() {
        let histogram =
            AtomicHistogram::new([0.005, 1.0].into(), false, None, &CellAllocator::default());
        for value in [0.001, 0.5, 0.25, f64::MAX, f64::MAX] {
            histogram.record(value);
        }
        let render =
            |format, labels| written(format, |text| text.histogram("a", labels, &histogram));
        assert_eq!(
            render(Format::Text, ""),
            "a_bucket{le=\"0.005\"} 1\na_bucket{le=\"1\"} 3\na_bucket{le=\"+Inf\"} 5\n\
             a_sum +Inf\na_count 5\n"
        );
        assert_eq!(
            render(Format::OpenMetrics, "b=\"c\""),
            "a_bucket{b=\"c\",le=\"0.005\"} 1\na_bucket{b=\"c\",le=\"1.0\"} 3\n\
             a_bucket{b=\"c\",le=\"+Inf\"} 5\na_sum{b=\"c\"} +Inf\na_count{b=\"c\"} 5\n"
        );
    }

    #[test]
    fn open_metrics_has_a_sum_and_a_count_only_if_the_sum_is_not_negative() {
        for (samples, has_sum) in [
            (vec![(-1.0, 1)], false),
            (vec![(-1.0, 1), (1.0, 1)], true),
            (vec![(f64::MAX, 2)], true),
            (vec![(f64::MIN, 2)], false),
            // The sum is NaN.
            (vec![(f64::MAX, 2), (f64::MIN, 2)], false),
        ] {
            let histogram =
                AtomicHistogram::new([0.5].into(), false, None, &CellAllocator::default());
            for (value, times) in &samples {
                histogram.record_many(*value, *times);
            }
            let render = |format| written(format, |text| text.histogram("a", "", &histogram));
            let text = render(Format::OpenMetrics);
            assert!(text.contains("le=\"+Inf\""), "{text}");
            for name in ["a_sum", "a_count"] {
                assert_eq!(text.contains(name), has_sum, "{samples:?}: {text}");
                assert!(render(Format::Text).contains(name));
            }
        }
    }

    #[test]
    fn boundaries_of_open_metrics_are_spelled_as_in_go() {
        for (value, text) in [
            (0.0, "0.0"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (10.0, "10.0"),
            (-2.5, "-2.5"),
            (123_456.5, "123456.5"),
            (1e6, "1e+06"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "+Inf"),
        ] {
            let dialect = Dialect::OpenMetrics;
            assert_eq!(Boundary { value, dialect }.to_string(), text);
        }
    }

    #[test]
    fn only_open_metrics_has_exemplars() {
        let span = || {
            Some(ExportedSpan {
                trace_id: [0xab; 16],
                span_id: [0x01; 8],
            })
        };
        let histogram =
            AtomicHistogram::new([1.0].into(), false, Some(span), &CellAllocator::default());
        histogram.record(0.25);
        let render = |format| written(format, |text| text.histogram("a", "", &histogram));
        assert!(!render(Format::Text).contains('#'));
        let text = render(Format::OpenMetrics);
        let (bucket, at) = text.lines().next().unwrap().rsplit_once(' ').unwrap();
        let ids = "trace_id=\"abababababababababababababababab\",span_id=\"0101010101010101\"";
        assert_eq!(bucket, format!("a_bucket{{le=\"1.0\"}} 1 # {{{ids}}} 0.25"));
        let now = std::time::SystemTime::now();
        let now = now.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let at: f64 = at.parse().unwrap();
        assert!((now - 60.0..=now).contains(&at), "{at}");
    }
}
