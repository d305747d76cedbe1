//! The atomics that threads share. The tests in `tests/loom` replace this module with loom's types,
//! which cannot be static.

pub(crate) use std::sync::atomic::{AtomicBool as StaticBool, Ordering};
