//! A `tracing` span of all fields and counts, for [`CompactLayer`](crate::compact_layer::CompactLayer).

use std::{cell::RefCell, time::Instant};

use axum::extract::{MatchedPath, Request};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::{Span, field::Empty};

use super::{
    counts::{Outcome, SeriesOfThread},
    exchange::Hook,
    traceparent,
};
use crate::compact_layer;

thread_local! {
    static SERIES: RefCell<SeriesOfThread> = RefCell::default();
}

/// Opens a `tracing` span and counts the request.
#[derive(Clone, Copy, Debug)]
pub struct SpanAndCount;

/// The state of an exchange.
#[derive(Debug)]
pub struct OpenSpan {
    span: Span,
    start: Instant,
    series: usize,
    status: u16,
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

impl Hook for SpanAndCount {
    type State = OpenSpan;

    fn start(&self, request: &Request) -> OpenSpan {
        let start = Instant::now();
        let headers = request.headers();
        let method = request.method();
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("", MatchedPath::as_str);
        let (series, name) = SERIES.with_borrow_mut(|all| {
            let series = all.find(method, route);
            all.counts(series).started();
            (series, all.name(series))
        });
        compact_layer::set_remote_parent(traceparent::of(headers));
        let span = tracing::info_span!(
            "HTTP server",
            otel.name = name,
            otel.kind = "server",
            http.request.method = method.as_str(),
            url.scheme = "http",
            url.path = request.uri().path(),
            http.route = route,
            network.protocol.version = "1.1",
            server.address = text(headers, &header::HOST),
            user_agent.original = text(headers, &header::USER_AGENT),
            http.response.status_code = Empty,
        );
        OpenSpan {
            span,
            start,
            series,
            status: 0,
        }
    }

    #[inline(always)]
    fn within<T>(state: &mut OpenSpan, function: impl FnOnce() -> T) -> T {
        let _entered = state.span.enter();
        function()
    }

    fn status(state: &mut OpenSpan, status: StatusCode) {
        state.status = status.as_u16();
        let status = i64::from(state.status);
        state.span.record("http.response.status_code", status);
    }

    fn end(state: OpenSpan, outcome: Outcome) {
        let duration = state.start.elapsed();
        SERIES.with_borrow(|all| {
            all.counts(state.series)
                .ended(state.status, outcome, duration)
        });
    }
}
