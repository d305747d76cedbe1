//! Replaces `std::sync` with loom.

use std::{sync::LockResult, time::Duration};

use loom::{cell::UnsafeCell, sync::atomic::AtomicBool};
pub use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{self, Ordering},
    },
    thread::Thread,
};

/// An atomic for statics. loom has no `const` constructor, so the first access creates it, which has to
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

/// Parks without a timeout: loom reports code that depends on the timeout as a deadlock.
pub fn park_timeout(_: Duration) {
    loom::thread::park();
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
