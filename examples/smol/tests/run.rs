//! Runs the example and checks what it prints.

#[path = "../../output.rs"]
mod output;

#[test]
fn requests_are_traced_and_counted_without_tokio() {
    output::assert_lines_in_order(
        env!("CARGO_BIN_EXE_example-smol"),
        &[&[
            &[
                "HTTP server",
                r#"otel.name="GET /hello""#,
                "http.response.status_code=200",
            ],
            &["HTTP client", "http.response.status_code=200"],
            &[
                r#"http_requests_total{method="GET",path="#,
                r#"status="200"} 1"#,
            ],
        ]],
    );
}
