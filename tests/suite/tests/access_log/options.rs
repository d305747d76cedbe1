//! The line is an option, and its texts are redacted and bounded.

use opentelemetry_sdk::trace::Sampler;
use suite_tests::{backend::Backend, response::full};
use tower_otel_core::Filter;
use tower_otel_trace::TraceLayer;

use crate::{
    exchange::{Read, exchange, get, respond},
    log_lines::record,
};

#[test]
fn lines_are_off_by_default_and_requests_that_are_filtered_out_have_none() {
    for backend in Backend::ALL {
        let recorded = record(backend, Sampler::AlwaysOn, |with_backend| {
            let off = with_backend(TraceLayer::server());
            exchange(&off, get("/"), || respond(full("hello")), Read::ToTheEnd);
            let filter = Filter::skip_paths(["/health"]);
            let filtered = with_backend(TraceLayer::server().filter(filter).access_log());
            exchange(
                &filtered,
                get("/health"),
                || respond(full("hello")),
                Read::ToTheEnd,
            );
        });
        assert!(recorded.lines.is_empty(), "{:#?}", recorded.lines);
    }
}

#[test]
fn queries_are_redacted_urls_have_no_credentials_and_texts_are_bounded() {
    let long = "x".repeat(10_000);
    for backend in Backend::ALL {
        let recorded = record(backend, Sampler::AlwaysOn, |with_backend| {
            let server = with_backend(TraceLayer::server().access_log());
            let client = with_backend(TraceLayer::client().access_log());
            for (layer, uri) in [
                (&server, "/a?page=2&sig=c4n4ry"),
                (&client, "http://user:c4n4ry@stock/a?page=2&sig=c4n4ry"),
                (&server, &format!("/{long}?{long}")),
            ] {
                exchange(layer, get(uri), || respond(full("hello")), Read::ToTheEnd);
            }
        });
        let texts: Vec<_> = recorded.lines.iter().map(|line| &*line.text).collect();
        let [server, client, bounded] = texts[..] else {
            panic!("{backend:?}: {texts:#?}");
        };
        assert_eq!(
            server,
            "INFO request complete http.request.method=GET url.path=/a url.query=page=2&sig=REDACTED \
             http.response.status_code=200"
        );
        assert!(client.contains("url.full=http://"), "{client}");
        assert!(client.contains("stock/a?page=2&sig=REDACTED"), "{client}");
        assert!(!client.contains("c4n4ry"), "{client}");
        assert!(bounded.len() < 2 * 4096 + 200, "{}", bounded.len());
    }
}
