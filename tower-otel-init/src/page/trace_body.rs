//! The response with the spans of a trace, which is generated while it is sent.

use bytes::Bytes;

use crate::page::json_writer::JsonWriter;
use crate::page::span_json::write_span;
use crate::page::trace_spans::TraceSpans;

/// The size in bytes at which a piece ends, after its last span.
const PIECE: usize = 16 << 10;

/// The remaining JSON of a trace.
pub(crate) struct TraceBody {
    spans: TraceSpans,
    /// The position of the next span.
    position: usize,
    next: JsonWriter,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    First,
    Further,
    Ended,
}

impl TraceBody {
    /// Returns a body without spans.
    pub(crate) fn empty() -> Self {
        Self::new(TraceSpans::default(), 0)
    }

    /// Returns the body with these spans and the number of dropped ones.
    pub(crate) fn new(spans: TraceSpans, dropped: u64) -> Self {
        let start = format!("{{\"dropped\":{dropped},\"spans\":[");
        Self {
            spans,
            position: 0,
            next: JsonWriter(start.into_bytes()),
            state: State::First,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Returns the next piece, or `None` at the end.
    pub(crate) fn next_piece(&mut self) -> Option<Bytes> {
        if self.is_ended() {
            return None;
        }
        while self.next.0.len() < PIECE {
            let Some(stored) = self.spans.span(self.position) else {
                self.next.0.extend_from_slice(b"]}");
                self.state = State::Ended;
                break;
            };
            self.position = stored.next;
            if let Some(span) = stored.decode() {
                if self.state == State::Further {
                    self.next.0.push(b',');
                }
                self.state = State::Further;
                write_span(&mut self.next, &span, stored.source);
            }
        }
        Some(std::mem::take(&mut self.next.0).into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use prost::Message;
    use serde_json::Value;

    use super::*;
    use crate::page::test_span::{source, span, text};

    #[test]
    fn the_pieces_are_the_json_of_all_spans() {
        for spans in [0, 1, 2, 500] {
            let mut stored = TraceSpans::default();
            for number in 0..spans {
                let mut span = span(1, "a");
                span.span_id = (number + 1_u64).to_be_bytes().to_vec();
                span.attributes.push(text("text", &"x".repeat(300)));
                let (message, source) = (span.encode_to_vec(), source("shop"));
                match number {
                    0 => stored.restart(&message, &source),
                    _ => stored.push(&message, &source, usize::MAX),
                }
            }
            let mut body = TraceBody::new(stored, 7);
            let mut json = Vec::new();
            while let Some(piece) = body.next_piece() {
                assert!(piece.len() < PIECE + 1000);
                json.extend_from_slice(&piece);
            }
            assert!(body.is_ended());
            let value: Value = serde_json::from_slice(&json).unwrap();
            let found = value["spans"].as_array().unwrap();
            assert_eq!((found.len() as u64, &value["dropped"]), (spans, &7.into()));
        }
    }
}
