//! Memory, file descriptors and panics of the process.

use std::{
    fs, panic,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts panics after this call. The panics of the application under attack do not call the panic hook,
/// so they are not counted.
pub fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Relaxed);
        before(info);
    }));
}

pub fn panics() -> u64 {
    PANICS.load(Relaxed)
}

/// Returns the resident memory in megabytes.
pub fn resident() -> f64 {
    status("VmRSS:")
}

/// Returns the peak resident memory in megabytes.
pub fn peak() -> f64 {
    status("VmHWM:")
}

/// Returns the number of open file descriptors, including the one used for counting.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn status(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    let kilobytes: f64 = line
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kilobytes / 1e3
}
