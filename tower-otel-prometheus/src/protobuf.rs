//! Prometheus' delimited protobuf format, as far as it is needed here.
//!
//! The message is `io.prometheus.client.MetricFamily` of
//! [client_model](https://github.com/prometheus/client_model), which is small and does not change;
//! writing its few fields takes less than a generator and its compiler do.

use crate::families::{Labels, Sample, Summary};
use crate::histogram::AtomicHistogram;
use crate::native::SCHEMA;

/// What a family is of.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Histogram = 4,
}

impl Of {
    /// The field of a series that says its value.
    const fn field(self) -> u64 {
        match self {
            Self::Counter => 3,
            Self::Gauge => 2,
            Self::Summary => 4,
            Self::Histogram => 7,
        }
    }
}

/// A message that is being written.
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

    /// As `sint32` and `sint64` are written.
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

    fn labels(&mut self, labels: &Labels) {
        for (name, value) in labels {
            self.message(1, |pair| {
                pair.bytes(1, name.as_bytes());
                pair.bytes(2, value.as_bytes());
            });
        }
    }
}

/// A family, of which `write` writes the value of each series.
fn family<S>(
    out: &mut Vec<u8>,
    name: &str,
    help: Option<&str>,
    of: Of,
    series: impl IntoIterator<Item = (Labels, S)>,
    write: impl Fn(&mut Message, S),
) {
    let mut family = Message::default();
    family.bytes(1, name.as_bytes());
    if let Some(help) = help {
        family.bytes(2, help.as_bytes());
    }
    family.number(3, of as u64);
    for (labels, one) in series {
        family.message(4, |metric| {
            metric.labels(&labels);
            metric.message(of.field(), |message| write(message, one));
        });
    }
    let mut length = Message::default();
    length.varint(family.0.len() as u64);
    out.extend(length.0);
    out.extend(family.0);
}

/// A counter or a gauge.
pub(crate) fn values(
    out: &mut Vec<u8>,
    name: &str,
    help: Option<&str>,
    of: Of,
    series: impl IntoIterator<Item = (Labels, f64)>,
) {
    family(out, name, help, of, series, |message, value| {
        message.double(1, value);
    });
}

/// A summary that was rendered as text.
pub(crate) fn summary(out: &mut Vec<u8>, summary: Summary) {
    let help = summary.help.as_deref();
    let series = summary.series;
    family(
        out,
        &summary.name,
        help,
        Of::Summary,
        series,
        |message, sample: Sample| {
            message.number(1, sample.count as u64);
            message.double(2, sample.sum);
            for (quantile, at) in sample.quantiles {
                message.message(3, |one| {
                    one.double(1, quantile);
                    one.double(2, at);
                });
            }
        },
    );
}

/// A histogram with the buckets of the text format and, where it has any, the native ones.
pub(crate) fn histogram<'a>(
    out: &mut Vec<u8>,
    name: &str,
    help: Option<&str>,
    series: impl IntoIterator<Item = (Labels, &'a AtomicHistogram)>,
) {
    family(out, name, help, Of::Histogram, series, one);
}

fn one(message: &mut Message, histogram: &AtomicHistogram) {
    let cumulative: Vec<u64> = histogram.cumulative().collect();
    let native = histogram.native();
    // Of two countings of the same samples, read one after the other, one total has to hold.
    let total = match &native {
        Some(native) => native.total(),
        None => cumulative.last().copied().unwrap_or_default(),
    };
    message.number(1, total);
    message.double(2, histogram.sum());
    for (boundary, count) in histogram.boundaries().iter().zip(&cumulative) {
        message.message(3, |bucket| {
            bucket.number(1, total.min(*count));
            bucket.double(2, *boundary);
        });
    }
    let Some(native) = native else { return };
    message.signed(5, i64::from(SCHEMA));
    message.double(6, native.zero_threshold());
    message.number(7, native.zero);
    // Runs of buckets that are not empty, each with the gap to the one before.
    let (mut end, mut before) = (0_i64, 0_i64);
    let mut deltas = Vec::new();
    let mut at = i64::from(native.first);
    for run in native.buckets.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        let length = run.len() as i64;
        if run.first().is_some_and(|count| *count > 0) {
            message.message(12, |span| {
                span.signed(1, at - end);
                span.number(2, length as u64);
            });
            end = at + length;
            for count in run {
                deltas.push(*count as i64 - before);
                before = *count as i64;
            }
        }
        at += length;
    }
    if end == 0 && deltas.is_empty() {
        // Without a span it would not be taken for a native histogram.
        message.message(12, |span| {
            span.signed(1, 0);
            span.number(2, 0);
        });
    }
    for delta in deltas {
        message.signed(13, delta);
    }
}
