//! Processes that fork: see `src/main.rs`.

#![cfg(unix)]
#![allow(missing_docs)]

use std::process::Command;

fn run(what: &str, actions: &[&str]) {
    for action in actions {
        let mut program = Command::new(env!("CARGO_BIN_EXE_fork-tests"));
        let output = program.args([what, action]).output();
        let output = output.unwrap_or_else(|error| panic!("{what} {action}: {error}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what} {action}: {text}");
    }
}

#[test]
fn the_child_of_a_process_with_a_recorder_ends_at_once_and_the_parent_loses_no_span() {
    run("recorder", &["drop", "shutdown", "flush", "record"]);
}

#[test]
fn a_child_ends_at_once_whatever_the_threads_of_its_parent_were_doing() {
    run("busy", &["drop", "shutdown"]);
}

#[test]
fn the_child_of_a_process_with_telemetry_ends_at_once_and_the_parent_loses_nothing() {
    for what in ["telemetry", "pushes"] {
        run(what, &["drop", "shutdown", "flush"]);
    }
}
