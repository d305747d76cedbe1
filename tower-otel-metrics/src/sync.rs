//! What threads share. The models in `tests/loom` put loom's in its place.

pub(crate) use std::sync::{Mutex, OnceLock, atomic};
