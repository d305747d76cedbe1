//! The callsite of a span or an event.

use opentelemetry::{KeyValue, Value};
use tower_otel_semconv::attribute::{CODE_FILE_PATH, CODE_LINE_NUMBER};
use tracing::Metadata;

use crate::keys::{LEVEL, TARGET};

/// The metadata of a `tracing` callsite, and which parts are exported. The export thread converts it to attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) location: bool,
    pub(crate) target: bool,
    pub(crate) level: bool,
}

impl Origin {
    /// The maximum number of attributes of an origin.
    pub(crate) const ATTRIBUTES: usize = 4;

    /// Adds the attributes of a span.
    pub(crate) fn span_attributes(&self, attributes: &mut Vec<KeyValue>) {
        if self.location {
            let file = self.metadata.file().map(Value::from);
            location(attributes, file, self.metadata.line().map(i64::from));
        }
        if self.level {
            attributes.push(KeyValue::new(LEVEL, self.metadata.level().as_str()));
        }
        if self.target {
            attributes.push(KeyValue::new(TARGET, self.metadata.target()));
        }
    }
}

/// Adds the location of a callsite.
pub(crate) fn location(attributes: &mut Vec<KeyValue>, file: Option<Value>, line: Option<i64>) {
    attributes.extend(file.map(|file| KeyValue::new(CODE_FILE_PATH, file)));
    attributes.extend(line.map(|line| KeyValue::new(CODE_LINE_NUMBER, line)));
}
