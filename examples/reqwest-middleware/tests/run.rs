//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn each_attempt_has_its_own_span() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-reqwest-middleware"),
        &[
            &[
                &["7 spans"],
                &["order"],
                &["├─ GET ", "503 to 127.0.0.1"],
                &[" 503 /"],
                &["├─ GET ", "503 retry 1 to 127.0.0.1"],
                &[" 503 /"],
                &["└─ GET ", "200 retry 2 to 127.0.0.1"],
                &["└─ GET /items/{sku}", " 200 /"],
            ],
            &[&["200 OK: 7 left"]],
        ],
    );
}
