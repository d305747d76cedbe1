//! What threads share. The models in `tests/loom` put loom's in its place.

pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard, OnceLock, atomic},
    thread::{Thread, park_timeout},
};
