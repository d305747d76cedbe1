//! Synchronization primitives. The models in `tests/loom` replace this module with loom's primitives.

pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, OnceLock, atomic},
    thread::Thread,
};

/// The number of shards in the first block of a queue.
pub(crate) const FIRST_BLOCK: usize = 16;
