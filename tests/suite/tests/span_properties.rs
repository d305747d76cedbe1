//! Property tests: spans of any request have no secret and a bounded name, and recording does not panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use suite_tests::{
    backend::Backend,
    keys::{OPT_INS, assert_valid_span, known_keys},
    telemetry::TestTelemetry,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::{PeerAddr, RequestHead, Route};
use tower_otel_semconv::TrustedProxies;
use tower_otel_trace::TraceLayer;

/// The value of every secret in a request.
const SECRET: &str = "c4n4ry";

const ROUTES: [&str; 2] = ["/users/{id}", "/orders/{id}"];

fn route(request: &dyn RequestHead) -> Option<Route> {
    let path = request.target().path;
    ROUTES
        .into_iter()
        .find(|route| path.starts_with(&route[..4]))
        .map(Route::from)
}

fn everything(layer: TraceLayer, proxies: TrustedProxies) -> TraceLayer {
    let all = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
        header::ACCEPT,
    ];
    layer
        .route(route)
        .opt_in(OPT_INS)
        .body_sizes()
        .exceptions()
        .expose_span()
        .trusted_proxies(proxies)
        .capture_request_headers(all)
        .capture_response_headers([header::SET_COOKIE, header::CONTENT_TYPE])
}

/// Runs one exchange in this process with every span backend and returns its spans.
fn spans_of_exchange(
    layer: &TraceLayer,
    request: &Request<Full<Bytes>>,
    status: StatusCode,
) -> Vec<SpanData> {
    async fn served<S>(service: S, request: Request<Full<Bytes>>)
    where
        S: Service<Request<Full<Bytes>>, Response: Send, Error = Infallible>,
    {
        let _response = service.oneshot(request).await;
    }
    let respond = move |_: Request<Full<Bytes>>| async move {
        let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
        *response.status_mut() = status;
        let cookie = HeaderValue::from_static("session=c4n4ry");
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok::<_, Infallible>(response)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut spans = Vec::new();
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let (layer, request) = (layer.clone(), request.clone());
        let service = backend
            .layer(telemetry.source(), layer)
            .layer(service_fn(respond));
        runtime.block_on(served(service, request));
        let ended = telemetry.spans();
        assert_eq!(ended.len(), 1, "one span per exchange");
        for span in &ended {
            assert_valid_span(span, backend);
        }
        spans.extend(ended);
    }
    spans
}

/// Checks that the spans contain no secret and have a known name.
fn check_secrets_and_names(spans: &[SpanData]) -> Result<(), TestCaseError> {
    const METHODS: [&str; 11] = [
        "CONNECT", "DELETE", "GET", "HEAD", "HTTP", "OPTIONS", "PATCH", "POST", "PUT", "QUERY",
        "TRACE",
    ];
    for span in spans {
        let (method, route) = span.name.split_once(' ').unwrap_or((&span.name, ROUTES[0]));
        prop_assert!(METHODS.contains(&method), "{}", span.name);
        prop_assert!(ROUTES.contains(&route), "{}", span.name);
        for attribute in &span.attributes {
            let value = format!("{:?}", attribute.value);
            prop_assert!(!value.contains(SECRET), "{}: {value}", attribute.key);
        }
        for event in &span.events.events {
            prop_assert!(!format!("{event:?}").contains(SECRET), "{event:?}");
        }
        prop_assert!(span.attributes.len() <= known_keys(&span.span_kind).len() + 16);
    }
    Ok(())
}

/// Checks that all backends record the same name, status and attributes of the conventions.
fn check_equal(spans: &[SpanData]) -> Result<(), TestCaseError> {
    let of = |span: &SpanData| {
        let mut rows: Vec<String> = span
            .attributes
            .iter()
            .filter(|attribute| {
                let key = attribute.key.as_str();
                key.contains(".header.") || known_keys(&span.span_kind).contains(&key)
            })
            .map(|attribute| format!("{}={:?}", attribute.key, attribute.value.as_str()))
            .collect();
        rows.sort();
        (span.name.to_string(), format!("{:?}", span.status), rows)
    };
    let [first, others @ ..] = spans else {
        return Err(TestCaseError::fail("no span"));
    };
    prop_assert_eq!(spans.len(), Backend::ALL.len());
    for other in others {
        prop_assert_eq!(of(other), of(first));
    }
    Ok(())
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::GET),
        Just(Method::POST),
        Just(Method::QUERY),
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,24}"
            .prop_filter_map("a token", |token| Method::from_bytes(token.as_bytes()).ok()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/".to_owned()),
        "/users/[a-z0-9%._~-]{0,12}",
        "/orders/[0-9]{1,9}",
        "/[!-\"$-;=@-Z_a-z~]{0,24}",
    ]
}

/// A query with secrets under sensitive keys.
fn query() -> impl Strategy<Value = String> {
    let sensitive = prop::sample::select(vec![
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
        // Percent-encoded keys, which a server decodes.
        "s%69g",
        "%53ignature",
    ]);
    let pair = prop_oneof![
        "[a-zA-Z0-9%._~-]{0,8}",
        "[a-zA-Z0-9%._~-]{0,8}=[a-zA-Z0-9%+/:;=?@._~-]{0,12}",
        (
            sensitive,
            "[a-zA-Z0-9%+/:;=?@._~-]{0,6}",
            "[a-zA-Z0-9%+/:;=?@._~-]{0,6}"
        )
            .prop_map(|(key, before, after)| format!("{key}={before}{SECRET}{after}")),
    ];
    prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join("&"))
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.-]{1,24}(:[0-9]{0,6})?",
        "\\[[0-9a-f:.%]{0,24}\\](:[0-9]{0,6})?",
        // Credentials in a host.
        Just(format!("me:{SECRET}@api.example")),
    ]
}

/// A request target of any form.
fn target() -> impl Strategy<Value = Uri> {
    let userinfo = prop_oneof![
        Just(String::new()),
        Just(format!("{SECRET}@")),
        Just(format!("me:{SECRET}@")),
        Just(format!("{SECRET}:@")),
        Just(format!(":{SECRET}@")),
    ];
    let authority = || {
        prop_oneof![
            "[a-z0-9.-]{1,16}(:[0-9]{1,5})?",
            "\\[[0-9a-f:]{2,12}\\](:[0-9]{1,5})?"
        ]
    };
    let scheme = prop::sample::select(vec!["http", "https", "ws", "gopher"]);
    let local = || (path(), query()).prop_map(|(path, query)| format!("{path}?{query}"));
    prop_oneof![
        local(),
        (scheme, userinfo, authority(), local())
            .prop_map(|(scheme, user, host, local)| format!("{scheme}://{user}{host}{local}")),
        authority(),
        Just("*".to_owned()),
    ]
    .prop_filter_map("a URI", |uri| uri.parse().ok())
}

fn forwarded() -> impl Strategy<Value = (&'static str, String)> {
    let node = || {
        prop_oneof![
            "[0-9]{1,3}(\\.[0-9]{1,3}){3}(:[0-9]{1,5})?",
            "\"?\\[?[0-9a-f:]{2,16}\\]?(:[0-9]{1,5})?\"?",
            Just("unknown".to_owned()),
            Just(format!("_{SECRET}")),
            Just(SECRET.to_owned()),
        ]
    };
    prop_oneof![
        prop::collection::vec(node(), 1..4).prop_map(|nodes| ("x-forwarded-for", nodes.join(", "))),
        (node(), host()).prop_map(|(node, host)| {
            (
                "forwarded",
                format!("for={node};proto=https;host=\"{host}\""),
            )
        }),
        host().prop_map(|host| ("x-forwarded-host", host)),
        prop_oneof![Just("https".to_owned()), Just(SECRET.to_owned())]
            .prop_map(|proto| ("x-forwarded-proto", proto)),
        "[ -~]{0,40}".prop_map(|text| ("forwarded", text)),
    ]
}

fn line() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        forwarded(),
        host().prop_map(|host| ("host", host)),
        "[ -~]{0,24}".prop_map(|agent| ("user-agent", agent)),
        "[ -~]{0,24}".prop_map(|text| ("accept", text)),
        "[0-9]{0,24}".prop_map(|length| ("content-length", length)),
        "[0-9a-f-]{0,60}".prop_map(|parent| ("traceparent", parent)),
        Just(("authorization", format!("Bearer {SECRET}"))),
        Just(("cookie", format!("session={SECRET}"))),
        Just(("proxy-authorization", SECRET.to_owned())),
        Just(("x-api-key", SECRET.to_owned())),
    ]
}

fn request() -> impl Strategy<Value = Request<Full<Bytes>>> {
    let lines = prop::collection::vec(line(), 0..8);
    (method(), target(), lines, any::<Option<SocketAddr>>()).prop_map(
        |(method, target, lines, peer)| {
            let mut request = Request::new(Full::default());
            *request.method_mut() = method;
            *request.uri_mut() = target;
            for (name, value) in lines {
                if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                    let name = HeaderName::from_static(name);
                    request.headers_mut().append(name, value);
                }
            }
            if let Some(peer) = peer {
                request.extensions_mut().insert(PeerAddr(peer));
            }
            request
        },
    )
}

fn proxies() -> impl Strategy<Value = TrustedProxies> {
    prop_oneof![
        Just(TrustedProxies::default()),
        Just(TrustedProxies::all()),
        (0_usize..4).prop_map(TrustedProxies::hops),
        Just(TrustedProxies::cidrs(["0.0.0.0/0", "::/0"]).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn server_spans_of_any_request_have_no_secret_and_a_bounded_name(
        request in request(),
        proxies in proxies(),
        status in 100_u16..=999,
    ) {
        let layer = everything(TraceLayer::server(), proxies);
        let spans = spans_of_exchange(&layer, &request, StatusCode::from_u16(status).unwrap());
        check_secrets_and_names(&spans)?;
        check_equal(&spans)?;
    }

    #[test]
    fn client_spans_of_any_request_have_no_secret_and_a_bounded_name(
        request in request(),
        status in 100_u16..=999,
    ) {
        let layer = everything(TraceLayer::client(), TrustedProxies::default());
        let spans = spans_of_exchange(&layer, &request, StatusCode::from_u16(status).unwrap());
        check_secrets_and_names(&spans)?;
        check_equal(&spans)?;
    }
}
