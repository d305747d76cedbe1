//! The example does what its first lines say.

#[path = "../../said.rs"]
mod said;

#[test]
fn its_own_requests_are_traced_and_counted() {
    said::in_this_order(
        env!("CARGO_BIN_EXE_example-hyper"),
        &[
            &["GET ", "client 200"],
            &["└─ GET /items/{sku}", "server 200", "/items/chair"],
            &["client 200"],
            &["server 200", "/favicon.ico"],
            &[r#"http_requests_total{method="GET",path="unmatched",status="200"} 1"#],
        ],
    );
}
