//! In place of `std::sync`.

use std::{sync::LockResult, time::Duration};

use loom::{cell::UnsafeCell, sync::atomic::AtomicBool};
pub use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{self, Ordering},
    },
    thread::Thread,
};

/// loom's are not made by a `const fn`, so this one is made when somebody looks at it, which has to
/// be before there is a second thread.
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

/// loom has none, so std's is taken at its word: one thread fills it while the others wait, and who
/// finds it filled has seen what happened before. How it does that is not modelled.
#[derive(Debug)]
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    filling: Mutex<()>,
    filled: AtomicBool,
    /// Where loom notices a look at the value that nothing puts after its filling.
    seen: UnsafeCell<()>,
}

impl<T> OnceLock<T> {
    pub fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            filling: Mutex::new(()),
            filled: AtomicBool::new(false),
            seen: UnsafeCell::new(()),
        }
    }

    pub fn get(&self) -> Option<&T> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        self.seen.with(|_| ());
        self.value.get()
    }

    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            let _filling = self.filling.lock().unwrap();
            if self.get().is_none() {
                assert!(self.value.set(make()).is_ok(), "it was filled twice");
                self.seen.with_mut(|_| ());
                self.filled.store(true, Ordering::Release);
            }
        }
        self.get().expect("it is filled")
    }
}

/// No time passes: who needs it to is found waiting for ever.
pub fn park_timeout(_: Duration) {
    loom::thread::park();
}

/// The same of a time-out here.
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
        mut waits: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        while waits(&mut guard) {
            guard = self.0.wait(guard).unwrap();
        }
        Ok((guard, ()))
    }
}
