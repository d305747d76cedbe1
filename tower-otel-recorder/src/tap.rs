//! A function that is called with each span at its export.

use std::fmt;

use opentelemetry::InstrumentationScope;

use crate::{
    encoding::protobuf::Writer,
    exporter::{ExportInput, RecordExporter},
    record::SpanRecord,
};

/// The maximum capacity for a message that is reused.
const MAX_REUSED: usize = 64 << 10;

/// An optional function that receives each span as an OTLP message, on the export thread.
#[derive(Default)]
pub(crate) struct Tap {
    function: Option<Box<Function>>,
    /// The message of a span that the exporter does not encode.
    message: Writer,
}

type Function = dyn FnMut(&[u8], &InstrumentationScope) + Send;

impl Tap {
    pub(crate) fn new(function: impl FnMut(&[u8], &InstrumentationScope) + Send + 'static) -> Self {
        Self {
            function: Some(Box::new(function)),
            message: Writer::default(),
        }
    }

    /// Encodes the span for the function, unless the exporter encodes it. The span stays in the record.
    pub(crate) fn encode(
        &mut self,
        record: &mut SpanRecord,
        input: &ExportInput<'_>,
        exporter: &dyn RecordExporter,
    ) {
        if self.function.is_none() || exporter.encodes() {
            return;
        }
        self.message.clear(MAX_REUSED);
        record.write_otlp_copy(&mut self.message, input.clocks, input.limits);
    }

    /// Calls the function with the span that was added to the exporter.
    pub(crate) fn observe(
        &mut self,
        record: &SpanRecord,
        input: &ExportInput<'_>,
        exporter: &dyn RecordExporter,
    ) {
        if let Some(function) = &mut self.function {
            let message = match exporter.encodes() {
                true => exporter.last_message(),
                false => self.message.as_slice(),
            };
            function(message, record.scope.get(input.default_scope));
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tap")
            .field(&self.function.is_some())
            .finish()
    }
}
