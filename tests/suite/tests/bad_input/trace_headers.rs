//! The parent of the span.

use crate::{
    case::{Case, cases},
    spans::assert_recorded,
};

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A later version of `traceparent` may have more fields. A repeated `traceparent` is ignored.
pub(crate) fn trace_headers() -> Vec<Case> {
    let table = r"
        PARENT                                                       => parent=b7ad6b7169203331
        PARENT | tracestate: a=1 | tracestate: b@@c=2                => parent=b7ad6b7169203331
        PARENT | tracestate: a=1<59 \r\ntracestate: a=1>             => parent=b7ad6b7169203331
        traceparent: cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more => parent=b7ad6b7169203331
        PARENT | PARENT                                              => parent=-

        traceparent:\x20                                             => parent=-
        traceparent:\x20\x20                                         => parent=-
        traceparent: 00                                              => parent=-
        traceparent: -                                               => parent=-
        traceparent: 00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01 => parent=-
        traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01 => parent=-
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01 => parent=-
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more => parent=-
        traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 => parent=-
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\xff => parent=-
        traceparent: \xc3\xbc\xc3\xbc                                => parent=-
        traceparent: <55 ü>                                          => parent=-
        traceparent: <16000 0>                                       => parent=-

        PARENT | tracestate:\x20                                     => parent=b7ad6b7169203331
        PARENT | tracestate: =                                       => parent=b7ad6b7169203331
        PARENT | tracestate: ,,,                                     => parent=b7ad6b7169203331
        PARENT | tracestate: a=1,a=2                                 => parent=b7ad6b7169203331
        PARENT | tracestate: \xff\xfe                                => parent=b7ad6b7169203331
        PARENT | tracestate: a=\xc3\xbc                              => parent=b7ad6b7169203331
        PARENT | tracestate: <16000 a>                               => parent=b7ad6b7169203331

        tracestate:\x20                                              => parent=-
        tracestate: =                                                => parent=-
        tracestate: ,,,                                              => parent=-
        tracestate: a=1,a=2                                          => parent=-
        tracestate: \xff\xfe                                         => parent=-
        tracestate: a=\xc3\xbc                                       => parent=-
        tracestate: <16000 a>                                        => parent=-
    ";
    cases(&table.replace("PARENT", PARENT))
}

#[tokio::test]
async fn a_malformed_traceparent_starts_a_new_trace() {
    assert_recorded(trace_headers()).await;
}
