//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn successful_failed_and_cancelled_calls_are_traced() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-tonic"),
        &[
            &[
                &["grpc.health.v1.Health/Check", "client"],
                &["└─ grpc.health.v1.Health/Check", "server"],
                &["Health/Check", "client ERR", "error.type=NOT_FOUND"],
                &["grpc.health.v1.Health/Watch", "client"],
                &["└─ grpc.health.v1.Health/Watch", "server"],
            ],
            &[&["NotFound"]],
        ],
    );
}
