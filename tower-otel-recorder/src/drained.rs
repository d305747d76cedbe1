//! The spans that the export thread has drained and not yet given to the exporter.

use std::mem;

use crate::{amount::Amount, pipeline::Pipeline, record::SpanRecord, shared::RecordBox};

/// A buffer with a larger capacity is freed when it is empty.
const MAX_REUSED: usize = 4096;

/// The spans of this turn, followed by the spans that were drained during its exports.
#[derive(Debug, Default)]
pub(crate) struct DrainedSpans {
    /// In reverse order: the next span is the last one.
    turn: Vec<RecordBox>,
    arrived: Vec<RecordBox>,
    /// The number of spans, from the next one on, that the tap has seen.
    tapped: usize,
}

impl DrainedSpans {
    /// Starts a turn with all spans that have ended before.
    pub(crate) fn start_turn(&mut self, pipeline: &Pipeline<RecordBox>) {
        mem::swap(&mut self.turn, &mut self.arrived);
        pipeline.drain(&mut self.turn);
        self.turn.reverse();
    }

    pub(crate) fn turn_is_over(&self) -> bool {
        self.turn.is_empty()
    }

    /// Returns the size of the next batch.
    pub(crate) fn next_batch(&self, max: Amount) -> Amount {
        max.first(self.turn.iter().rev().map(|record| record.bytes))
    }

    /// Takes the next span, and returns whether the tap has seen it.
    pub(crate) fn take_next(&mut self) -> Option<(RecordBox, bool)> {
        let record = self.turn.pop()?;
        let is_tapped = self.tapped > 0;
        self.tapped = self.tapped.saturating_sub(1);
        Some((record, is_tapped))
    }

    /// Drains the spans that have ended during an export. Calls the tap with all spans that it has not seen.
    pub(crate) fn drain_and_tap(
        &mut self,
        pipeline: &Pipeline<RecordBox>,
        mut tap: impl FnMut(&mut SpanRecord),
    ) {
        pipeline.drain_behind(self.turn.len(), &mut self.arrived);
        let spans = self.turn.iter_mut().rev().chain(&mut self.arrived);
        for pooled in spans.skip(self.tapped) {
            tap(&mut pooled.record);
        }
        self.tapped = self.turn.len() + self.arrived.len();
    }

    /// Removes all spans.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Frees a large buffer after a turn.
    pub(crate) fn shrink(&mut self) {
        if self.turn.capacity() > MAX_REUSED {
            self.turn = Vec::new();
        }
    }
}
