//! Each end of an exchange is one line.

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::Sampler;
use suite_tests::{backend::Backend, response::full};
use tower_otel_trace::TraceLayer;

use crate::{
    exchange::{Read, call, exchange, get, respond},
    log_lines::record,
    table::{cases, handler, line},
};

/// The response of a server, what is read of it, and the line of the access log.
const ENDS: &str = "
    200, read to the end                   => INFO request complete 200
    404, read to the end                   => INFO request complete 404
    503, read to the end                   => WARN request complete 503 503
    204, read to the head                  => INFO request complete 204
    101, read to the head                  => INFO request upgraded 101
    an error, read to the head             => WARN request failed - timeout
    a body with an error, read to the end  => WARN request failed 200 timeout
    nothing, read to the head              => WARN request cancelled - cancelled
    an endless body, read one frame        => WARN request aborted 200 aborted
    a panic, read to the head              => WARN request panicked - panic
    a body with a panic, read to the end   => WARN request panicked 200 panic
";

#[test]
fn each_end_of_a_servers_exchange_is_one_line_in_its_trace() {
    for backend in Backend::ALL {
        for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
            for (response, read, short) in cases(ENDS) {
                let case = format!("{backend:?}, {sampler:?}: {response}");
                let recorded = record(backend, sampler.clone(), |with_backend| {
                    let layer = with_backend(TraceLayer::server().access_log());
                    let panicked = exchange(&layer, get("/things/7"), || handler(response), read);
                    assert_eq!(panicked, short.contains("panicked"), "{short}");
                });
                let [one] = &recorded.lines[..] else {
                    panic!("{case}: {:#?}", recorded.lines);
                };
                assert_eq!(one.text, line(short), "{case}");
                assert!(!one.is_in_span, "{case}");
                assert_ne!(one.trace, TraceId::INVALID, "{case}");
                for span in &recorded.spans {
                    assert_eq!(one.trace, span.span_context.trace_id(), "{case}");
                    assert!(span.events.is_empty(), "{case}: {span:#?}");
                }
            }
        }
    }
}

#[test]
fn the_duration_is_that_of_the_span() {
    for backend in [Backend::Tracer, Backend::Recorder] {
        let recorded = record(backend, Sampler::AlwaysOn, |with_backend| {
            let layer = with_backend(TraceLayer::server().access_log());
            let spins = || {
                for _ in 0..10_000 {
                    std::hint::black_box(0);
                }
                respond(full("hello"))
            };
            exchange(&layer, get("/"), spins, Read::ToTheEnd);
        });
        let span = &recorded.spans[0];
        let span = span.end_time.duration_since(span.start_time).unwrap();
        let difference = span.as_secs_f64() * 1e3 - recorded.lines[0].duration_ms;
        assert!(difference.abs() <= 0.002, "{backend:?}: {difference}");
    }
}

#[test]
fn a_client_has_a_line_for_each_end_and_its_own_rule_for_errors() {
    for (response, read, expected) in cases(
        "
        404, read to the end       => WARN request complete 404 404
        nothing, read to the head  => INFO request cancelled -
        an error, read to the head => WARN request failed - timeout
        ",
    ) {
        let recorded = record(Backend::Recorder, Sampler::AlwaysOn, |with_backend| {
            let layer = with_backend(TraceLayer::client().access_log());
            exchange(
                &layer,
                get("http://stock/things/7"),
                || handler(response),
                read,
            );
        });
        let expected = line(expected).replace("url.path=", "url.full=http://stock");
        assert_eq!(recorded.lines[0].text, expected);
    }
}

#[test]
fn a_grpc_call_has_its_method_and_its_status_also_if_it_is_not_sampled() {
    for backend in Backend::ALL {
        for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
            for (response, read, expected) in cases(
                "
                a call with 0, read to the end          => INFO request complete OK
                a call with 13, read to the end         => WARN request complete INTERNAL
                a refused call with 16, read to the head => INFO request complete UNAUTHENTICATED
                nothing, read to the head               => INFO request cancelled CANCELLED
                ",
            ) {
                let recorded = record(backend, sampler.clone(), |with_backend| {
                    let layer = with_backend(TraceLayer::server().grpc().access_log());
                    exchange(&layer, call("/shop.Stock/Get"), || handler(response), read);
                });
                let (message, status) = expected.rsplit_once(' ').unwrap();
                let mut expected =
                    format!("{message} rpc.method=shop.Stock/Get rpc.status_code={status}");
                if status == "INTERNAL" {
                    expected += " error.type=INTERNAL";
                }
                let texts: Vec<_> = recorded.lines.iter().map(|line| &line.text).collect();
                assert_eq!(texts, [&expected], "{backend:?}");
            }
        }
    }
}
