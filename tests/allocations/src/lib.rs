//! A global allocator that counts allocations by thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

thread_local! {
    // Without a destructor or a lazy initializer, so that counting does not allocate.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator, with a count for each thread. Concurrent tests do not affect each other.
#[derive(Debug)]
pub struct CountingAllocator;

fn count() {
    // The thread-local variable is destroyed when its thread ends.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is forwarded to the system allocator with the same arguments.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the same contract.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the same contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// Returns the number of allocations and reallocations of a function.
pub fn allocations<T>(run: impl FnOnce() -> T) -> usize {
    let before = COUNT.get();
    let output = black_box(run());
    let after = COUNT.get();
    drop(output);
    after - before
}
