//! The spans of a trace: their OTLP messages in one buffer, which are decoded when a browser requests them.

use std::iter;
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::page::span_source::SpanSource;

/// The length of a message is stored before the message.
type Length = u64;

/// The bytes that each span counts in addition to its message, because a span is larger when it is decoded.
const SPAN_OVERHEAD: usize = 128;

/// A buffer with a larger capacity is not reused for another trace.
const MAX_REUSED: usize = 16 << 10;

/// The spans of a trace, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct TraceSpans {
    messages: Vec<u8>,
    count: usize,
    /// The source of the first span. Most traces have no other.
    source: Option<Arc<SpanSource>>,
    /// The positions at which the source changes.
    other_sources: Vec<(usize, Arc<SpanSource>)>,
    source_bytes: usize,
}

/// A span that is not decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredSpan<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) source: &'a Arc<SpanSource>,
    /// The position of the next span.
    pub(crate) next: usize,
}

impl StoredSpan<'_> {
    /// Returns the decoded span. Malformed messages are not stored, so `None` does not occur.
    pub(crate) fn decode(&self) -> Option<Span> {
        Span::decode(self.message).ok()
    }
}

impl Clone for TraceSpans {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.clone_from(self);
        clone
    }

    /// Reuses the buffers.
    fn clone_from(&mut self, other: &Self) {
        let Self {
            messages,
            count,
            source,
            other_sources,
            source_bytes,
        } = self;
        messages.clone_from(&other.messages);
        *count = other.count;
        source.clone_from(&other.source);
        other_sources.clone_from(&other.other_sources);
        *source_bytes = other.source_bytes;
    }
}

impl TraceSpans {
    /// Replaces all spans by one. Reuses the buffers, so that most spans allocate nothing.
    pub(crate) fn restart(&mut self, message: &[u8], source: &Arc<SpanSource>) {
        self.clear();
        if !self
            .source
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, source))
        {
            self.source = Some(Arc::clone(source));
        }
        self.source_bytes = source.bytes();
        self.append(message, usize::MAX);
    }

    /// Adds a span. The buffer gets at most this capacity, unless the span needs more.
    pub(crate) fn push(&mut self, message: &[u8], source: &Arc<SpanSource>, max_capacity: usize) {
        if self.last_source().is_some_and(|last| **last != **source) {
            let start = self.messages.len();
            self.other_sources.push((start, Arc::clone(source)));
            self.source_bytes += source.bytes();
        }
        self.append(message, max_capacity);
    }

    fn append(&mut self, message: &[u8], max_capacity: usize) {
        let length = self.messages.len() + size_of::<Length>() + message.len();
        if length > self.messages.capacity() {
            // The capacity counts, so it grows by less than `Vec` does.
            let capacity = length + self.messages.len() / 4;
            let capacity = capacity.min(max_capacity).max(length);
            self.messages.reserve_exact(capacity - self.messages.len());
        }
        let prefix = message.len() as Length;
        self.messages.extend_from_slice(&prefix.to_le_bytes());
        self.messages.extend_from_slice(message);
        self.count += 1;
    }

    /// Removes all spans. Keeps the source, which the next span usually has, and small buffers.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.other_sources.clear();
        self.count = 0;
        if self.messages.capacity() + self.other_sources.capacity() > MAX_REUSED {
            self.messages = Vec::new();
            self.other_sources = Vec::new();
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Returns the position of the next span that is added.
    pub(crate) const fn end(&self) -> usize {
        self.messages.len()
    }

    /// Returns the maximum number of bytes by which a span increases [`bytes`](Self::bytes).
    pub(crate) fn max_bytes_of(message: &[u8], source: &SpanSource) -> usize {
        size_of::<Length>() + message.len() + SPAN_OVERHEAD + source.bytes()
    }

    /// Returns the bytes of the spans, as if they shared their sources with no other trace.
    pub(crate) const fn bytes(&self) -> usize {
        self.messages.len() + self.count * SPAN_OVERHEAD + self.source_bytes
    }

    /// Returns [`bytes`](Self::bytes) and the free capacity.
    pub(crate) const fn allocated_bytes(&self) -> usize {
        let free = self.messages.capacity() - self.messages.len();
        self.bytes() + free
    }

    fn last_source(&self) -> Option<&Arc<SpanSource>> {
        let last = self.other_sources.last().map(|(_, source)| source);
        last.or(self.source.as_ref())
    }

    /// Returns the span at a position, which is 0, the end of the spans before it, or the end of the span before it.
    pub(crate) fn span(&self, position: usize) -> Option<StoredSpan<'_>> {
        let rest = self.messages.get(position..)?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(Length::from_le_bytes(*length)).ok()?;
        let changes = self
            .other_sources
            .partition_point(|(start, _)| *start <= position);
        let last = changes
            .checked_sub(1)
            .and_then(|at| self.other_sources.get(at));
        Some(StoredSpan {
            message: rest.get(..length)?,
            source: last.map(|(_, source)| source).or(self.source.as_ref())?,
            next: position + size_of::<Length>() + length,
        })
    }

    /// Returns all spans.
    pub(crate) fn iter(&self) -> impl Iterator<Item = StoredSpan<'_>> {
        iter::successors(self.span(0), |span| self.span(span.next))
    }

    /// Returns a copy of the span at a position.
    pub(crate) fn copy(&self, position: usize) -> Self {
        let mut copy = Self::default();
        if let Some(span) = self.span(position) {
            copy.restart(span.message, span.source);
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::test_span::source;

    /// Returns message and service of each span.
    fn texts(spans: &TraceSpans) -> Vec<String> {
        let text = |span: StoredSpan<'_>| {
            let message = String::from_utf8_lossy(span.message);
            format!("{message} of {}", span.source.service)
        };
        spans.iter().map(text).collect()
    }

    fn push(spans: &mut TraceSpans, message: &str, service: &str) {
        spans.push(message.as_bytes(), &source(service), 1000);
    }

    #[test]
    fn each_span_has_its_source() {
        let mut spans = TraceSpans::default();
        assert!(texts(&spans).is_empty());
        spans.restart(b"a", &source("shop"));
        push(&mut spans, "b", "shop");
        push(&mut spans, "", "stock");
        let position = spans.end();
        push(&mut spans, "d", "stock");
        push(&mut spans, "e", "shop");
        let expected = [
            "a of shop",
            "b of shop",
            " of stock",
            "d of stock",
            "e of shop",
        ];
        assert_eq!(texts(&spans), expected);
        assert_eq!((spans.len(), spans.other_sources.len()), (5, 2));
        assert_eq!(texts(&spans.copy(position)), ["d of stock"]);
        assert!(texts(&spans.copy(spans.end())).is_empty());
    }

    #[test]
    fn another_trace_reuses_small_buffers_and_the_source() {
        let (mut spans, shop) = (TraceSpans::default(), source("shop"));
        spans.restart(&[1; 100], &shop);
        push(&mut spans, "b", "stock");
        let capacity = spans.messages.capacity();
        spans.restart(b"c", &shop);
        assert_eq!(texts(&spans), ["c of shop"]);
        assert_eq!(spans.messages.capacity(), capacity);
        assert!(
            spans
                .source
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, &shop))
        );
        assert_eq!(spans.allocated_bytes(), spans.bytes() + capacity - 9);

        spans.restart(&[1; MAX_REUSED], &shop);
        spans.restart(b"d", &source("stock"));
        assert_eq!(texts(&spans), ["d of stock"]);
        assert!(spans.messages.capacity() < capacity);
    }

    #[test]
    fn a_copy_into_used_spans_reuses_the_buffers() {
        let (mut copy, mut spans) = (TraceSpans::default(), TraceSpans::default());
        copy.restart(&[1; 100], &source("shop"));
        push(&mut copy, "b", "stock");
        let buffers = (copy.messages.as_ptr(), copy.other_sources.as_ptr());
        spans.restart(b"c", &source("billing"));
        push(&mut spans, "d", "mail");
        copy.clone_from(&spans);
        assert_eq!(texts(&copy), ["c of billing", "d of mail"]);
        assert_eq!((copy.len(), copy.bytes()), (spans.len(), spans.bytes()));
        assert_eq!(
            (copy.messages.as_ptr(), copy.other_sources.as_ptr()),
            buffers
        );
        assert_eq!(texts(&spans.clone()), texts(&spans));
    }

    #[test]
    fn the_capacity_grows_by_a_quarter_up_to_its_limit() {
        let mut spans = TraceSpans::default();
        spans.restart(b"", &source("shop"));
        let mut largest = 0;
        for _ in 0..500 {
            push(&mut spans, "12345678", "shop");
            largest = largest.max(spans.messages.capacity());
            assert!(
                spans.messages.capacity() <= (spans.end() * 5 / 4 + 8).min(1000).max(spans.end())
            );
        }
        assert!(largest > 1000, "the limit holds back no span");
    }
}
