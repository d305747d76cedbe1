//! The example does what its first lines say.

#[path = "../../said.rs"]
mod said;

#[test]
fn every_attempt_has_a_span_of_its_own() {
    said::in_this_order(
        env!("CARGO_BIN_EXE_example-reqwest-middleware"),
        &[
            &["7 spans"],
            &["order"],
            &["├─ GET ", "client 503"],
            &["server 503"],
            &["├─ GET ", "client 503"],
            &["server 503"],
            &["└─ GET ", "client 200"],
            &["└─ GET /items/{sku}", "server 200"],
            &["200 OK: 7 left"],
        ],
    );
}
