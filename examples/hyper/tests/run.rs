//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn client_and_server_requests_are_traced_and_counted() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-hyper"),
        &[
            &[
                &["GET ", "200 to 127.0.0.1"],
                &["└─ GET /items/{sku}", " 200 /", "/items/chair"],
                &["200 to 127.0.0.1"],
                &[" 200 /", "/favicon.ico"],
            ],
            &[&[r#"http_requests_total{method="GET",path="unmatched",status="200"} 1"#]],
        ],
    );
}
