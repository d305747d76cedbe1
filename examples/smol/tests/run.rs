//! The example does what its first lines say.

#[path = "../../said.rs"]
mod said;

#[test]
fn spans_end_and_requests_are_counted_without_tokio() {
    said::in_this_order(
        env!("CARGO_BIN_EXE_example-smol"),
        &[
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
        ],
    );
}
