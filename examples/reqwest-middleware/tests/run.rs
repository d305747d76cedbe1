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
                &["├─ GET ", "client 503"],
                &["server 503"],
                &["├─ GET ", "client 503"],
                &["server 503"],
                &["└─ GET ", "client 200"],
                &["└─ GET /items/{sku}", "server 200"],
            ],
            &[&["200 OK: 7 left"]],
        ],
    );
}
