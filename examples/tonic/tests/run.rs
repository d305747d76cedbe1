//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn successful_failed_and_cancelled_calls_are_traced() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-tonic"),
        &[
            &[
                &["grpc.health.v1.Health/Check", "OK  to 127.0.0.1"],
                &["└─ grpc.health.v1.Health/Check", "OK"],
                &["Health/Check", "NOT_FOUND to 127.0.0.1"],
                &["grpc.health.v1.Health/Watch", " to 127.0.0.1"],
                &["└─ grpc.health.v1.Health/Watch", ""],
            ],
            &[&["NotFound"]],
        ],
    );
}
