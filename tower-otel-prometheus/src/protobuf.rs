//! The delimited protobuf format.
//!
//! The message is `io.prometheus.client.MetricFamily` of
//! [client_model](https://github.com/prometheus/client_model). It is small and stable, so its fields
//! are written by hand, without a code generator.

use std::time::UNIX_EPOCH;

use crate::{
    exemplar::Exemplar,
    histogram::AtomicHistogram,
    labels::Labels,
    native::{NativeSnapshot, SCHEMA},
    text::{Hex, help_text},
};

/// The type of a metric, with its number in the message.
#[derive(Clone, Copy)]
pub(crate) enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

impl MetricType {
    /// Returns the number of the field that has the value of a series.
    const fn value_field(self) -> u64 {
        match self {
            Self::Counter => 3,
            Self::Gauge => 2,
            Self::Histogram => 7,
        }
    }
}

/// The bytes of a message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    /// Writes a `sint32` or `sint64`.
    fn signed(&mut self, field: u64, value: i64) {
        self.number(field, ((value << 1) ^ (value >> 63)) as u64);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn labels(&mut self, labels: &[(String, String)]) {
        for (name, value) in labels {
            self.message(1, |pair| {
                pair.bytes(1, name.as_bytes());
                pair.bytes(2, value.as_bytes());
            });
        }
    }
}

/// Appends a family. `write` writes the value of each series.
fn write_family<S>(
    out: &mut Vec<u8>,
    name: &str,
    help: Option<&str>,
    metric_type: MetricType,
    series: impl IntoIterator<Item = (Labels, S)>,
    write: impl Fn(&mut Message, S),
) {
    let mut family = Message::default();
    family.bytes(1, name.as_bytes());
    family.bytes(2, help_text(help).as_bytes());
    family.number(3, metric_type as u64);
    for (labels, value) in series {
        family.message(4, |metric| {
            metric.labels(&labels);
            metric.message(metric_type.value_field(), |message| write(message, value));
        });
    }
    let mut length = Message::default();
    length.varint(family.0.len() as u64);
    out.extend(length.0);
    out.extend(family.0);
}

/// Appends a counter or a gauge.
pub(crate) fn write_values(
    out: &mut Vec<u8>,
    name: &str,
    help: Option<&str>,
    metric_type: MetricType,
    series: impl IntoIterator<Item = (Labels, f64)>,
) {
    write_family(out, name, help, metric_type, series, |message, value| {
        message.double(1, value);
    });
}

/// Appends a histogram with its buckets and, if it has them, its native buckets.
pub(crate) fn write_histogram<'a>(
    out: &mut Vec<u8>,
    name: &str,
    help: Option<&str>,
    series: impl IntoIterator<Item = (Labels, &'a AtomicHistogram)>,
) {
    write_family(
        out,
        name,
        help,
        MetricType::Histogram,
        series,
        write_buckets,
    );
}

fn write_buckets(message: &mut Message, histogram: &AtomicHistogram) {
    let cumulative: Vec<u64> = histogram.cumulative().collect();
    let native = histogram.native();
    // The two sets of buckets are read one after the other. One total applies to both.
    let total = match &native {
        Some(native) => native.total(),
        None => cumulative.last().copied().unwrap_or_default(),
    };
    message.number(1, total);
    message.double(2, histogram.sum());
    let mut exemplars = Vec::new();
    for (index, count) in cumulative.iter().enumerate() {
        let boundary = histogram.boundaries().get(index).copied();
        let exemplar = histogram.exemplar(index);
        // The last bucket is the total. It is written if it has an exemplar.
        if boundary.is_some() || exemplar.is_some() {
            message.message(3, |bucket| {
                bucket.number(1, total.min(*count));
                bucket.double(2, boundary.unwrap_or(f64::INFINITY));
                if let Some(exemplar) = exemplar {
                    bucket.message(3, |message| write_exemplar(message, exemplar));
                }
            });
        }
        exemplars.extend(exemplar);
    }
    if let Some(native) = native {
        write_native(message, &native);
        for exemplar in exemplars {
            message.message(16, |message| write_exemplar(message, exemplar));
        }
    }
}

fn write_exemplar(message: &mut Message, exemplar: Exemplar) {
    let Exemplar { span, value, at } = exemplar;
    message.labels(&[
        ("trace_id".to_owned(), Hex(&span.trace_id).to_string()),
        ("span_id".to_owned(), Hex(&span.span_id).to_string()),
    ]);
    message.double(2, value);
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    message.message(3, |timestamp| {
        timestamp.number(1, since_epoch.as_secs());
        timestamp.number(2, since_epoch.subsec_nanos().into());
    });
}

/// Writes spans of buckets that are not empty, each with the distance from the previous span, and
/// then the counts as differences.
fn write_native(message: &mut Message, native: &NativeSnapshot) {
    message.signed(5, i64::from(SCHEMA));
    message.double(6, native.zero_threshold());
    message.number(7, native.zero);
    let (mut span_end, mut previous) = (0_i64, 0_i64);
    let mut deltas = Vec::new();
    let mut index = i64::from(native.first);
    for run in native.buckets.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        let length = run.len() as i64;
        if run.first().is_some_and(|count| *count > 0) {
            message.message(12, |span| {
                span.signed(1, index - span_end);
                span.number(2, length as u64);
            });
            span_end = index + length;
            for count in run {
                deltas.push(*count as i64 - previous);
                previous = *count as i64;
            }
        }
        index += length;
    }
    if span_end == 0 && deltas.is_empty() {
        // A histogram without a span is not parsed as a native one.
        message.message(12, |span| {
            span.signed(1, 0);
            span.number(2, 0);
        });
    }
    for delta in deltas {
        message.signed(13, delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_help_text() {
        for (help, text) in [
            (None, "Not described."),
            (Some(""), "Not described."),
            (Some("Jobs."), "Jobs."),
        ] {
            let mut out = Vec::new();
            let series = [(Labels::new(), 1.0)];
            write_values(&mut out, "jobs", help, MetricType::Gauge, series);
            let mut field = Message::default();
            field.bytes(2, text.as_bytes());
            // After the length of the message and the field with the name.
            assert!(out.get(7..).is_some_and(|rest| rest.starts_with(&field.0)));
        }
    }
}
