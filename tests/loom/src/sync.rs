//! Replaces `std::sync` with loom.

use std::{
    sync::{Arc, LockResult},
    time::Duration,
};

pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{self, Ordering},
};
use loom::{cell::UnsafeCell, sync::atomic::AtomicBool};

/// The size of the first block, small because a model locks each slot.
pub const FIRST_BLOCK: usize = 2;

/// The number of threads with cells of their own, small so that a model can have more threads.
pub const THREADS: usize = 2;

/// The number of cells of a chunk, small because a chunk is allocated in each order of a model.
pub const CELLS: usize = 4;

/// An atomic for statics. loom has no `const` constructor, so the first access creates the atomic. This must
/// happen before a second thread starts.
#[derive(Debug)]
pub struct StaticBool {
    initial: bool,
    atomic: std::sync::OnceLock<AtomicBool>,
}

impl StaticBool {
    pub const fn new(initial: bool) -> Self {
        Self {
            initial,
            atomic: std::sync::OnceLock::new(),
        }
    }

    fn atomic(&self) -> &AtomicBool {
        self.atomic.get_or_init(|| AtomicBool::new(self.initial))
    }

    pub fn load(&self, order: Ordering) -> bool {
        self.atomic().load(order)
    }

    pub fn store(&self, value: bool, order: Ordering) {
        self.atomic().store(value, order);
    }

    pub fn swap(&self, value: bool, order: Ordering) -> bool {
        self.atomic().swap(value, order)
    }
}

/// A model of `std::sync::OnceLock`, which loom does not have: one thread initializes it while the others
/// wait, and a read of the value happens after its initialization. The implementation is not modelled.
#[derive(Debug)]
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    init: Mutex<()>,
    initialized: AtomicBool,
    /// Lets loom detect a read that is not ordered after the initialization.
    access: UnsafeCell<()>,
}

impl<T> OnceLock<T> {
    pub fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            init: Mutex::new(()),
            initialized: AtomicBool::new(false),
            access: UnsafeCell::new(()),
        }
    }

    pub fn get(&self) -> Option<&T> {
        if !self.initialized.load(Ordering::Acquire) {
            return None;
        }
        self.access.with(|_| ());
        self.value.get()
    }

    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            let _init = self.init.lock().unwrap();
            if self.get().is_none() {
                assert!(self.value.set(init()).is_ok(), "initialized twice");
                self.access.with_mut(|_| ());
                self.initialized.store(true, Ordering::Release);
            }
        }
        self.get().expect("initialized")
    }
}

loom::thread_local! {
    static CURRENT: Thread = Thread::default();
}

/// A thread that can be parked. loom's own `unpark` also wakes a thread that waits for a mutex, and loom then panics.
#[derive(Clone, Debug, Default)]
pub struct Thread(Arc<Parker>);

#[derive(Debug)]
struct Parker {
    unparked: Mutex<bool>,
    changed: loom::sync::Condvar,
}

impl Default for Parker {
    fn default() -> Self {
        Self {
            unparked: Mutex::new(false),
            changed: loom::sync::Condvar::new(),
        }
    }
}

impl Thread {
    pub fn unpark(&self) {
        *self.0.unparked.lock().unwrap() = true;
        self.0.changed.notify_one();
    }

    fn park(&self) {
        let mut unparked = self.0.unparked.lock().unwrap();
        while !*unparked {
            unparked = self.0.changed.wait(unparked).unwrap();
        }
        *unparked = false;
    }
}

pub fn current_thread() -> Thread {
    CURRENT.with(Thread::clone)
}

/// Parks without a timeout, so that loom reports code that depends on the timeout as a deadlock.
pub fn park_timeout(_: Duration) {
    current_thread().park();
}

/// A condition variable whose waits have no timeout.
#[derive(Debug)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        _: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        while condition(&mut guard) {
            guard = self.0.wait(guard).unwrap();
        }
        Ok((guard, ()))
    }
}
