//! Attributes that many spans have in common.

use std::sync::Arc;

use crate::buffer::AttributeBuffer;

/// A span uses a template only if its maximum number of attributes is at least this number.
pub(crate) const MIN_ATTRIBUTES: u32 = 64;

/// The template of a record: shared attributes, before the attributes of the span.
///
/// A reused record keeps its reference. So spans of one template do not change its reference count.
#[derive(Debug, Default)]
pub(crate) struct RecordTemplate {
    is_used: bool,
    last: Option<Arc<AttributeBuffer>>,
}

impl RecordTemplate {
    #[inline]
    pub(crate) fn set(&mut self, template: &Arc<AttributeBuffer>) {
        self.is_used = true;
        let is_last = |last: &Arc<_>| Arc::ptr_eq(last, template);
        if !self.last.as_ref().is_some_and(is_last) {
            self.last = Some(Arc::clone(template));
        }
    }

    pub(crate) const fn clear(&mut self) {
        self.is_used = false;
    }

    /// Returns the template, if the span has one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&AttributeBuffer> {
        self.last.as_deref().filter(|_| self.is_used)
    }

    /// Returns the number of bytes that the record keeps allocated. Other records may share them.
    #[inline]
    pub(crate) fn allocated(&self) -> usize {
        self.last
            .as_ref()
            .map_or(0, |template| template.allocated())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;
    use crate::{limits::Limits, record::SpanRecord};

    fn template() -> Arc<AttributeBuffer> {
        AttributeBuffer::shared(|attributes| {
            attributes.fixed("method", "GET");
            attributes.text("host", "shop.example");
        })
    }

    fn keys(record: &mut SpanRecord, limits: &Limits) -> (String, Vec<KeyValue>) {
        let (clocks, scope) = (crate::clock::Clocks::read(), crate::scope::default_scope());
        let span = record.take_span_data(clocks, &scope, limits);
        (span.name.into_owned(), span.attributes)
    }

    #[test]
    fn a_span_has_the_attributes_of_its_template_before_its_own() {
        let limits = Limits::default();
        let mut record = SpanRecord::new(limits);
        assert!(record.set_template("GET /a", &template()));
        record.attributes().int("port", 80);
        record.start_attributes = record.attributes.len();
        let (name, attributes) = keys(&mut record, &limits);
        assert_eq!(name, "GET /a");
        let expected = [
            KeyValue::new("method", "GET"),
            KeyValue::new("host", "shop.example"),
            KeyValue::new("port", 80),
        ];
        assert_eq!(attributes, expected);
    }

    #[test]
    fn a_record_that_is_reused_has_no_template_until_it_is_set_again() {
        let limits = Limits::default();
        let (mut record, template) = (SpanRecord::new(limits), template());
        for _ in 0..3 {
            assert!(record.set_template("GET /a", &template));
            assert_eq!(Arc::strong_count(&template), 2);
            record.clear();
            assert_eq!(keys(&mut record, &limits), (String::new(), Vec::new()));
        }
        assert!(
            record.allocated() > template.allocated(),
            "it is held until then"
        );
    }

    #[test]
    fn a_template_that_exceeds_a_limit_is_not_used() {
        let limited = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            let mut record = SpanRecord::new(limits);
            (
                record.set_template("GET /a", &template()),
                keys(&mut record, &limits).1.len(),
            )
        };
        assert_eq!(limited(|_| {}), (true, 2));
        assert_eq!(limited(|limits| limits.text.length = 5), (false, 0));
        assert_eq!(limited(|limits| limits.text.bytes = 5), (false, 0));
        let few = |limits: &mut Limits| limits.span.max_attributes_per_span = 2;
        assert_eq!(limited(few), (false, 0));
    }
}
