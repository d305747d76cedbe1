//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn a_response_and_a_refused_connection_are_recorded() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-reqwest"),
        &[
            &[
                &["GET ", "client 200"],
                &["└─ GET /items/{sku}", "server 200"],
                &["client ERR", "error.type=connection_refused"],
            ],
            &[&["http_client_requests_total{", r#"status="200"} 1"#]],
        ],
    );
}
