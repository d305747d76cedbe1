//! An allocator that counts what the current thread asks of it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

thread_local! {
    // Without a destructor and an initialiser, so that to count allocates nothing itself.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted by thread: tests beside this one do not disturb it.
#[derive(Debug)]
pub struct Counting;

fn count() {
    // A thread that is ending has nothing left to count with.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: what the caller promised is what is asked here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: what the caller promised is what is asked here.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: what the caller promised is what is asked here.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: what the caller promised is what is asked here.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// How often something allocates, or grows what it has allocated.
pub fn allocations<T>(of: impl FnOnce() -> T) -> usize {
    let before = COUNT.get();
    let output = black_box(of());
    let after = COUNT.get();
    drop(output);
    after - before
}
