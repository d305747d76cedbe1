//! In place of `std::sync`.

use std::{
    sync::{Arc, LockResult},
    time::Duration,
};

pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{self, Ordering},
};
use loom::{cell::UnsafeCell, sync::atomic::AtomicBool};

/// Small, because a model takes the lock of each place.
pub const FIRST_BLOCK: usize = 2;

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

/// Waits without a time-out, because no time passes in a model: code that relies on the time-out is found waiting.
pub fn park_timeout(_: Duration) {
    current_thread().park();
}

/// A condition variable whose time-outs never end, either.
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
