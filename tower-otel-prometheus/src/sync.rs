//! The synchronization primitives of this crate. The models in `tests/loom` replace them with loom's.

pub(crate) use std::sync::{Mutex, OnceLock, atomic};
