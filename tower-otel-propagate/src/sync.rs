//! What threads share. The models in `tests/loom` put loom's in its place, and those cannot be static.

pub(crate) use std::sync::atomic::{AtomicBool as StaticBool, Ordering};
