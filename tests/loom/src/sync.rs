//! In place of `std::sync`.

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
pub use loom::sync::{
    Mutex,
    atomic::{self, Ordering},
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
