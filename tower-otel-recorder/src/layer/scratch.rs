//! A buffer of each thread for fields on their way to a record.

use std::cell::Cell;

use crate::{buffer::AttributeBuffer, limits::TextLimits};

thread_local! {
    static SCRATCH: Cell<Option<AttributeBuffer>> = const { Cell::new(None) };
}

/// Calls `f` with an empty buffer with these limits. Fields are formatted by code of the application, so no lock may be held meanwhile.
pub(super) fn with_buffer<T>(limits: TextLimits, f: impl FnOnce(&mut AttributeBuffer) -> T) -> T {
    // A nested call, in code that formats a field, gets another buffer.
    let buffer = SCRATCH.try_with(Cell::take).ok().flatten();
    let mut buffer = buffer.unwrap_or_else(|| AttributeBuffer::empty(limits));
    buffer.set_limits(limits);
    let result = f(&mut buffer);
    buffer.clear();
    let _ = SCRATCH.try_with(|scratch| scratch.set(Some(buffer)));
    result
}
