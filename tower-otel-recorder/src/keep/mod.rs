//! Keep rules: unsampled traces that are exported, by a decision at the end of their local root.

mod child_state;
mod ended_root;
mod excluded_spans;
mod held_bytes;
mod held_trace;
mod holding;
mod keeper;
mod lending;
mod listed_span;
mod live_rules;
mod live_traces;
mod lookup;
mod rate_limit;
mod rules;
mod span_results;
mod span_table;

pub(crate) use held_trace::{HeldSpan, HeldTrace};
pub(crate) use keeper::Keeper;
pub(crate) use listed_span::ListedSpan;
pub(crate) use lookup::{exclude, handle_attribute, with_trace, with_unheld_span};
pub use lookup::{is_kept, keep_trace};
pub use rules::Keep;
pub(crate) use rules::KeepReason;
