//! Replaces the thread index of `tower-otel-prometheus` by one for the threads of loom.

use std::{cell::RefCell, sync::Arc};

use crate::indices::Indices;

loom::lazy_static! {
    static ref INDICES: Arc<Indices> = Arc::new(Indices::new());
}

loom::thread_local! {
    static CLAIM: RefCell<Option<Claim>> = RefCell::new(None);
}

struct Claim {
    index: usize,
    // loom drops its statics before the locals of the main thread.
    indices: Arc<Indices>,
}

impl Claim {
    fn new() -> Self {
        Self {
            index: INDICES.claim(),
            indices: Arc::clone(&INDICES),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.indices.release(self.index);
    }
}

pub fn current() -> usize {
    let index = CLAIM.try_with(|claim| claim.borrow().as_ref().map(|claim| claim.index));
    index.ok().flatten().unwrap_or(usize::MAX)
}

pub fn claim() -> Option<usize> {
    let index = CLAIM.try_with(|claim| {
        let mut claim = claim.borrow_mut();
        claim.get_or_insert_with(Claim::new).index
    });
    index.ok()
}

pub fn count() -> usize {
    INDICES.count()
}
