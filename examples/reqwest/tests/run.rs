//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn a_response_and_a_refused_connection_are_recorded() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-reqwest"),
        &[
            &[
                &["GET ", "200 to 127.0.0.1"],
                &["└─ GET /items/{sku}", " 200 /"],
                &["GET ", "ERR to 127.0.0.1"],
                &["error.type=connection_refused"],
            ],
            &[&["http_client_requests_total{", r#"status="200"} 1"#]],
        ],
    );
}
