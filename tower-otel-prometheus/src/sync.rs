//! The atomics of this crate. The models in `tests/loom` replace them with loom's.

pub(crate) use std::sync::atomic;
