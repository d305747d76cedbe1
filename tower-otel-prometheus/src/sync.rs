//! The synchronization primitives of this crate. The models in `tests/loom` replace them with loom's.

pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, atomic};

/// The number of threads that have cells of their own.
pub(crate) const THREADS: usize = 128;

/// The number of cells that are allocated together.
pub(crate) const CELLS: usize = 256;
