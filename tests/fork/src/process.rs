//! A fork of this process. Only this file has `unsafe` code, because std cannot fork a process.
#![allow(unsafe_code)]

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// The time limit of the child on a busy machine. It is shorter than the five seconds for which a drop waits for a thread.
const LIMIT: Duration = Duration::from_secs(2);

/// The exit codes of the child.
const PANICKED: i32 = 1;
const LATE: i32 = 2;

/// Runs a function in a child, and checks that it ends in time and without a panic. This process does not see changes to the
/// memory of the child.
pub(crate) fn in_fork(child: impl FnOnce()) {
    // SAFETY: the child has one thread, and locks of other threads stay locked. This is tested: the alarm ends a child that
    // waits for such a lock. The child may use the allocator of the C library.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "{}", io::Error::last_os_error());
    if process == 0 {
        let started = Instant::now();
        // SAFETY: any number is accepted.
        unsafe { libc::alarm(10) };
        let panics = catch_unwind(AssertUnwindSafe(child)).is_err();
        let code = match started.elapsed() < LIMIT {
            _ if panics => PANICKED,
            true => 0,
            false => LATE,
        };
        // SAFETY: any number is accepted. The child runs no destructors.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the pointer is valid during the call.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!(waited, process, "{}", io::Error::last_os_error());
    assert!(!libc::WIFSIGNALED(status), "the child hung: {status}");
    match libc::WEXITSTATUS(status) {
        0 => {}
        PANICKED => panic!("the child panicked"),
        LATE => panic!("the child took longer than {LIMIT:?}"),
        code => panic!("the child exited with {code}"),
    }
}
