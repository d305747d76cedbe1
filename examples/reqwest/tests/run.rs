//! The example does what its first lines say.

#[path = "../../said.rs"]
mod said;

#[test]
fn one_request_is_answered_and_one_refused() {
    said::in_this_order(
        env!("CARGO_BIN_EXE_example-reqwest"),
        &[
            &["GET ", "client 200"],
            &["└─ GET /items/{sku}", "server 200"],
            &["client ERR", "error.type=connection_refused"],
            &["http_client_requests_total{", r#"status="200"} 1"#],
        ],
    );
}
