//! The example does what its first lines say.

#[path = "../../said.rs"]
mod said;

#[test]
fn calls_end_well_with_an_error_and_early() {
    said::in_this_order(
        env!("CARGO_BIN_EXE_example-tonic"),
        &[
            &["grpc.health.v1.Health/Check", "client"],
            &["└─ grpc.health.v1.Health/Check", "server"],
            &["Health/Check", "client ERR", "error.type=NOT_FOUND"],
            &["NotFound"],
            &["grpc.health.v1.Health/Watch", "client"],
            &["└─ grpc.health.v1.Health/Watch", "server"],
        ],
    );
}
