//! A span in its compact form.

use std::{sync::Arc, time::Instant};

use opentelemetry::{
    SpanId,
    trace::{SpanContext, SpanKind},
};
use opentelemetry_sdk::trace::SpanLimits;

use crate::{
    buffer::{AttributeBuffer, TextRange},
    changes::ContextChanges,
    clock::Timestamp,
    extras::Extras,
};

/// The record of one span. It is reused after its export and keeps the capacity of its buffers.
#[derive(Debug)]
pub struct SpanRecord {
    pub(crate) context: SpanContext,
    pub(crate) parent: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) kind: SpanKind,
    /// The index of the instrumentation scope.
    pub(crate) scope: usize,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) name: Name,
    pub(crate) attributes: AttributeBuffer,
    /// The number of attributes that were written at the start.
    pub(crate) start_attributes: usize,
    /// Set by the owner of the span.
    pub(crate) extras: Option<Box<Extras>>,
    /// Set through the OpenTelemetry context.
    pub(crate) context_extras: Option<Box<Extras>>,
    pub(crate) changes: Arc<ContextChanges>,
}

/// The name of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Static(&'static str),
    Text(TextRange),
}

impl SpanRecord {
    pub(crate) fn new(limits: SpanLimits) -> Self {
        let now = Timestamp::Instant(Instant::now());
        Self {
            context: SpanContext::NONE,
            parent: SpanId::INVALID,
            parent_is_remote: false,
            kind: SpanKind::Internal,
            scope: 0,
            started: now,
            ended: now,
            name: Name::Static(""),
            attributes: AttributeBuffer::new(),
            start_attributes: 0,
            extras: None,
            context_extras: None,
            changes: Arc::new(ContextChanges::new(limits)),
        }
    }

    /// Returns the attributes, to add to them.
    #[inline]
    pub fn attributes(&mut self) -> &mut AttributeBuffer {
        &mut self.attributes
    }

    /// Sets the name to a text that lives as long as the program.
    #[inline]
    pub fn set_static_name(&mut self, name: &'static str) {
        self.name = Name::Static(name);
    }

    /// Sets the name to a text, which is copied.
    #[inline]
    pub fn set_name(&mut self, name: &str) {
        self.name = Name::Text(self.attributes.store(name));
    }

    pub(crate) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Prepares the record for the next span. Ids, kind, scope and times are set at its start.
    pub(crate) fn clear(&mut self) {
        self.context = SpanContext::NONE;
        self.name = Name::Static("");
        self.attributes.clear();
        self.start_attributes = 0;
        self.extras = None;
        self.context_extras = None;
        match Arc::get_mut(&mut self.changes) {
            Some(changes) => changes.reset(),
            // A handler keeps the context of the span.
            None => self.changes = Arc::new(ContextChanges::new(*self.changes.limits())),
        }
    }
}
