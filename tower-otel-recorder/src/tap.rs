//! A function that sees each span before its export.

use std::fmt;

use opentelemetry_sdk::trace::SpanData;

use crate::{exporter::ExportInput, record::SpanRecord};

/// A function that gets a copy of each span on the export thread, or none.
#[derive(Default)]
pub(crate) struct Tap(Option<Box<dyn FnMut(SpanData) + Send>>);

impl Tap {
    pub(crate) fn new(tap: impl FnMut(SpanData) + Send + 'static) -> Self {
        Self(Some(Box::new(tap)))
    }

    /// Calls the function. The record is exported afterwards.
    pub(crate) fn observe(&mut self, record: &mut SpanRecord, input: &ExportInput<'_>) {
        if let Some(tap) = &mut self.0 {
            tap(record.copy_span_data(input.clocks, input.default_scope, input.limits));
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tap").field(&self.0.is_some()).finish()
    }
}
