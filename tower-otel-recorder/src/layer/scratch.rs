//! A buffer per thread for fields that are copied to a record later.

use std::cell::Cell;

use crate::{buffer::AttributeBuffer, limits::TextLimits};

thread_local! {
    static SCRATCH: Cell<Option<AttributeBuffer>> = const { Cell::new(None) };
}

/// Calls `f` with an empty buffer with these limits. Code of the application formats fields, so no lock may be held
/// meanwhile.
pub(super) fn with_buffer<T>(limits: TextLimits, f: impl FnOnce(&mut AttributeBuffer) -> T) -> T {
    // A nested call, from code that formats a field, gets another buffer.
    let buffer = SCRATCH.try_with(Cell::take).ok().flatten();
    let mut buffer = buffer.unwrap_or_else(|| AttributeBuffer::empty(limits));
    buffer.set_limits(limits);
    let result = f(&mut buffer);
    buffer.clear();
    let _ = SCRATCH.try_with(|scratch| scratch.set(Some(buffer)));
    result
}
