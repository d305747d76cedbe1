//! The results of starting and ending the spans of a held trace.

use super::rules::KeepReason;

/// The decision about a trace when its local root ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Kept(KeepReason),
    /// A rule applies, but the limit of kept traces per second is reached.
    Limited,
    Discarded,
}

/// The spans and bytes that are freed when a local root ends, or when its children are dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Freed<T> {
    /// The children that have ended.
    pub(super) spans: Vec<T>,
    /// Whether the bytes of the root are freed.
    pub(super) has_bytes: bool,
}

/// The result of starting a span.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Recorded,
    /// The trace has too many bytes.
    Full,
    /// The local root has ended, and the trace is not kept.
    Discarded,
}

/// The result of ending a span.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// It waits for the end of the local root.
    Held,
    /// The trace has too many bytes.
    Full(T),
    /// The local root has ended, and the trace is kept.
    Kept(T, KeepReason),
    /// The local root has ended, and the trace is over the limit of kept traces.
    Limited(T),
    /// The local root has ended, and no rule applies.
    Discarded(T),
}
