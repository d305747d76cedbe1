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
    events::EventBuffer,
    extras::Extras,
    origin::Origin,
    sampling::SampledSpan,
    scope::RecordScope,
};

/// The record of one span. It is reused after its export and keeps the capacity of its buffers.
#[derive(Debug)]
pub struct SpanRecord {
    pub(crate) context: SpanContext,
    pub(crate) parent: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) kind: SpanKind,
    pub(crate) scope: RecordScope,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) name: Name,
    /// The callsite of a `tracing` span.
    pub(crate) origin: Option<Origin>,
    pub(crate) attributes: AttributeBuffer,
    pub(crate) events: EventBuffer,
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
            scope: RecordScope::new(),
            started: now,
            ended: now,
            name: Name::Static(""),
            origin: None,
            attributes: AttributeBuffer::new(),
            events: EventBuffer::new(),
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

    /// Sets the callsite of a `tracing` span, whose name is the name of the span.
    pub(crate) fn set_origin(&mut self, origin: Origin) {
        self.origin = Some(origin);
        self.kind = SpanKind::Internal;
        self.name = Name::Static(origin.metadata.name());
    }

    /// Sets ids, parent and the attributes of the sampler.
    pub(crate) fn set_sampled(&mut self, sampled: SampledSpan, limits: &SpanLimits) {
        self.context = sampled.context;
        self.parent = sampled.parent;
        self.parent_is_remote = sampled.parent_is_remote;
        for attribute in sampled.attributes {
            self.extras().attribute(attribute, limits);
        }
    }

    /// Adds attributes of an open span, within the limit.
    pub(crate) fn append_attributes(&mut self, attributes: &AttributeBuffer, limits: &SpanLimits) {
        let limit = usize::try_from(limits.max_attributes_per_span).unwrap_or(usize::MAX);
        let dropped = self.attributes.append_up_to(limit, attributes);
        if dropped > 0 {
            self.extras().drop_attributes(dropped);
        }
    }

    pub(crate) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Prepares the record for the next span. Ids, kind, scope and times are set at its start.
    pub(crate) fn clear(&mut self) {
        self.context = SpanContext::NONE;
        self.name = Name::Static("");
        self.origin = None;
        self.attributes.clear();
        self.events.clear();
        self.start_attributes = 0;
        self.extras = None;
        self.context_extras = None;
        ContextChanges::renew(&mut self.changes);
    }
}
