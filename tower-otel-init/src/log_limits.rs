//! The limits of log records in bytes. The SDK has none.

use std::mem::size_of;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider};
use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};

/// The limit of a text in characters, and of a byte array in bytes.
const VALUE_LENGTH: usize = 4_096;
const RECORD_BYTES: usize = 64 << 10;
const BATCH_BYTES: usize = 2 << 20;
/// The limit of all records that wait for the end of their export.
pub(crate) const QUEUE_BYTES: usize = 16 << 20;

/// A log record of a batch, with its scope.
pub(crate) type ScopedRecord<'a> = (&'a SdkLogRecord, &'a InstrumentationScope);

/// Returns the memory that a log record takes, which is more than its bytes in OTLP.
pub(crate) fn record_bytes(record: &SdkLogRecord) -> usize {
    let attributes = record.attributes_iter().map(attribute_bytes);
    size_of::<SdkLogRecord>()
        + record.target().map_or(0, |target| target.len())
        + record.body().map_or(0, text_bytes)
        + attributes.sum::<usize>()
}

fn attribute_bytes((key, value): &(Key, AnyValue)) -> usize {
    size_of::<(Key, AnyValue)>() + key.as_str().len() + text_bytes(value)
}

/// The layer that makes the records writes neither lists nor maps.
fn text_bytes(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.as_str().len(),
        AnyValue::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Cuts the values of log records.
#[derive(Debug)]
pub(crate) struct RecordCutter {
    /// Creates empty records. The SDK has no other function for it.
    logger: SdkLogger,
}

impl RecordCutter {
    pub(crate) fn new() -> Self {
        let logger = SdkLoggerProvider::builder().build().logger("");
        Self { logger }
    }

    /// Cuts long values, and omits the attributes that then exceed the limit of a record.
    pub(crate) fn cut(&self, record: &mut SdkLogRecord) {
        let is_long = |value: &AnyValue| text_bytes(value) > VALUE_LENGTH;
        if record.body().is_some_and(is_long)
            || record.attributes_iter().any(|(_, value)| is_long(value))
            || record_bytes(record) > RECORD_BYTES
        {
            *record = self.shorter(record);
        }
    }

    /// Attributes of a record cannot be changed, so it is copied.
    #[cold]
    fn shorter(&self, record: &SdkLogRecord) -> SdkLogRecord {
        let mut cut = self.logger.create_log_record();
        if let Some(name) = record.event_name() {
            cut.set_event_name(name);
        }
        if let Some(target) = record.target() {
            cut.set_target(target.clone());
        }
        if let Some(time) = record.timestamp() {
            cut.set_timestamp(time);
        }
        if let Some(time) = record.observed_timestamp() {
            cut.set_observed_timestamp(time);
        }
        if let Some(text) = record.severity_text() {
            cut.set_severity_text(text);
        }
        if let Some(number) = record.severity_number() {
            cut.set_severity_number(number);
        }
        if let Some(trace) = record.trace_context() {
            cut.set_trace_context(trace.trace_id, trace.span_id, trace.trace_flags);
        }
        if let Some(body) = record.body() {
            cut.set_body(cut_value(body));
        }
        let mut bytes = record_bytes(&cut);
        for (key, value) in record.attributes_iter() {
            let attribute = (key.clone(), cut_value(value));
            let with_attribute = bytes + attribute_bytes(&attribute);
            if with_attribute <= RECORD_BYTES {
                bytes = with_attribute;
                cut.add_attribute(attribute.0, attribute.1);
            }
        }
        cut
    }
}

fn cut_value(value: &AnyValue) -> AnyValue {
    match value {
        AnyValue::String(text) => {
            let text = text.as_str();
            let end = text.char_indices().nth(VALUE_LENGTH);
            let cut = end.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
            AnyValue::from(cut.to_owned())
        }
        AnyValue::Bytes(bytes) => AnyValue::from(bytes.get(..VALUE_LENGTH).unwrap_or(bytes)),
        other => other.clone(),
    }
}

/// Splits a batch, so that no part exceeds the limit of an export.
pub(crate) fn split<'a, 'b>(
    batch: &'b [ScopedRecord<'a>],
) -> impl Iterator<Item = &'b [ScopedRecord<'a>]> {
    let first = batch.first();
    let mut part_bytes = first.map_or(0, |(record, _)| record_bytes(record));
    let fits = move |_: &ScopedRecord<'a>, (record, _): &ScopedRecord<'a>| {
        let bytes = record_bytes(record);
        part_bytes += bytes;
        let fits = part_bytes <= BATCH_BYTES;
        if !fits {
            part_bytes = bytes;
        }
        fits
    };
    batch.chunk_by(fits)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::logs::Severity;
    use opentelemetry::{SpanId, TraceFlags, TraceId};

    use super::*;

    fn record() -> SdkLogRecord {
        let mut record = RecordCutter::new().logger.create_log_record();
        record.set_event_name("event");
        record.set_target("shop");
        record.set_timestamp(SystemTime::UNIX_EPOCH);
        record.set_observed_timestamp(SystemTime::UNIX_EPOCH);
        record.set_severity_text("INFO");
        record.set_severity_number(Severity::Info);
        record.set_body("sold".into());
        let (trace, span) = (TraceId::from(7), SpanId::from(7));
        record.set_trace_context(trace, span, Some(TraceFlags::SAMPLED));
        record
    }

    fn cut(mut record: SdkLogRecord) -> SdkLogRecord {
        RecordCutter::new().cut(&mut record);
        record
    }

    #[test]
    fn a_short_record_is_unchanged() {
        let mut short = record();
        short.add_attribute("path", "a".repeat(VALUE_LENGTH));
        assert_eq!(cut(short.clone()), short);
    }

    #[test]
    fn long_values_are_cut_and_the_rest_of_the_record_is_unchanged() {
        let (mut long, mut expected) = (record(), record());
        long.set_body("é".repeat(VALUE_LENGTH + 1).into());
        expected.set_body("é".repeat(VALUE_LENGTH).into());
        long.add_attribute("path", "a".repeat(60_000));
        expected.add_attribute("path", "a".repeat(VALUE_LENGTH));
        long.add_attribute("bytes", vec![1; 60_000].as_slice());
        expected.add_attribute("bytes", vec![1; VALUE_LENGTH].as_slice());
        long.add_attribute("stock", 7);
        expected.add_attribute("stock", 7);
        assert_eq!(cut(long), expected);
    }

    #[test]
    fn attributes_over_the_limit_of_a_record_are_omitted() {
        let mut large = record();
        for _ in 0..20 {
            large.add_attribute("path", "a".repeat(VALUE_LENGTH));
        }
        large.add_attribute("stock", 7);
        let cut = cut(large);
        assert!(record_bytes(&cut) <= RECORD_BYTES);
        assert!(record_bytes(&cut) > RECORD_BYTES - 2 * VALUE_LENGTH);
        let last = cut.attributes_iter().last();
        assert_eq!(last, Some(&(Key::new("stock"), AnyValue::Int(7))));
    }

    #[test]
    fn a_batch_is_split_into_full_parts_below_the_limit() {
        let mut long = record();
        for _ in 0..10 {
            long.add_attribute("path", "a".repeat(VALUE_LENGTH));
        }
        let bytes = record_bytes(&long);
        let scope = InstrumentationScope::default();
        let batch = vec![(&long, &scope); 120];
        let lengths: Vec<_> = split(&batch).map(<[ScopedRecord<'_>]>::len).collect();
        let full = BATCH_BYTES / bytes;
        assert_eq!(lengths, [full, full, 120 - 2 * full]);
        assert_eq!(split(&[]).count(), 0);
    }
}
