//! A function that is called with each span before its export.

use std::fmt;

use opentelemetry::InstrumentationScope;

use crate::{encoding::protobuf::Writer, exporter::ExportInput, record::SpanRecord};

/// The maximum capacity for a message that is reused.
const MAX_REUSED: usize = 64 << 10;

/// An optional function that receives each span as an OTLP message, on the export thread.
#[derive(Default)]
pub(crate) struct Tap {
    function: Option<Box<Function>>,
    /// The message of a span that the exporter has not encoded.
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

    pub(crate) fn is_set(&self) -> bool {
        self.function.is_some()
    }

    /// Encodes the span and calls the function. The span stays in the record.
    pub(crate) fn encode_and_call(&mut self, record: &mut SpanRecord, input: &ExportInput<'_>) {
        if let Some(function) = &mut self.function {
            self.message.clear(MAX_REUSED);
            record.write_otlp_copy(&mut self.message, input.clocks, input.limits);
            let scope = record.scope.get(input.default_scope);
            function(self.message.as_slice(), scope);
        }
    }

    /// Calls the function with the span that the exporter has encoded.
    pub(crate) fn call(&mut self, message: &[u8], record: &SpanRecord, input: &ExportInput<'_>) {
        if let Some(function) = &mut self.function {
            function(message, record.scope.get(input.default_scope));
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tap").field(&self.is_set()).finish()
    }
}
