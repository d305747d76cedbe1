//! Method, URL and route, and the name of the span.

use std::process::Command;

use suite_tests::{
    backend::Backend,
    server::Server,
    table::{Str, assert_span_attributes},
};
use tower_otel_semconv::{KnownMethods, SensitiveKeys, TrustedProxies};
use tower_otel_trace::TraceLayer;

use crate::{names, over_http2, table};

#[tokio::test]
async fn http_request_method_is_a_known_method_or_other() {
    for method in "DELETE GET HEAD OPTIONS PATCH POST PUT TRACE QUERY".split(' ') {
        let known = format!(
            "{method} /users/7 => http.request.method={method} | http.request.method_original=-"
        );
        table(TraceLayer::server, &known).await;
    }
    table(
        TraceLayer::server,
        "
        CONNECT far.example:443 => http.request.method=CONNECT | http.request.method_original=-
        PURGE /users/7          => http.request.method=_OTHER | http.request.method_original=PURGE
        get /users/7            => http.request.method=_OTHER | http.request.method_original=get
        Get /users/7            => http.request.method=_OTHER | http.request.method_original=Get
        _OTHER /users/7         => http.request.method=_OTHER | http.request.method_original=_OTHER
        ",
    )
    .await;
}

/// The target of a `CONNECT` has no path.
#[tokio::test]
async fn url_path_is_the_path_without_the_query() {
    table(
        TraceLayer::server,
        "
        GET /                                => url.path=/
        GET /users/7                         => url.path=/users/7
        GET /users/7?a=b                     => url.path=/users/7
        GET /a%20b/                          => url.path=/a%20b/
        GET http://api.example/users/7?a=b   => url.path=/users/7
        OPTIONS *                            => url.path=*
        CONNECT far.example:443              => url.path=-
        ",
    )
    .await;
}

#[tokio::test]
async fn url_scheme_is_that_of_the_connection() {
    table(
        TraceLayer::server,
        "
        GET /users/7          => url.scheme=http
        GET /users/7 HTTP/1.0 => url.scheme=http
        ",
    )
    .await;
    table(
        || TraceLayer::server().https(),
        "
        GET /users/7                   => url.scheme=https
        GET http://api.example/users/7 => url.scheme=https
        ",
    )
    .await;
}

#[tokio::test]
async fn url_scheme_comes_from_an_absolute_target() {
    table(
        TraceLayer::server,
        "
        GET https://api.example/users/7  => url.scheme=https
        GET gopher://api.example/users/7 => url.scheme=http
        ",
    )
    .await;
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        for scheme in ["http", "https"] {
            let span = over_http2(&server, &format!("{scheme}://api.example/users/7")).await;
            assert_span_attributes(&span, &[("url.scheme", Str(scheme))]);
        }
    }
}

#[tokio::test]
async fn url_scheme_comes_from_a_trusted_proxy() {
    let trusting = |layer: TraceLayer| layer.trusted_proxies(TrustedProxies::hops(1));
    table(
        || trusting(TraceLayer::server()),
        "
        GET /users/7 | Forwarded: for=192.0.2.1;proto=https => url.scheme=https
        GET /users/7 | X-Forwarded-Proto: https             => url.scheme=https
        GET /users/7 | X-Forwarded-Proto: HTTPS             => url.scheme=https
        GET /users/7 | X-Forwarded-Proto:                   => url.scheme=http
        GET /users/7 | X-Forwarded-Proto: javascript        => url.scheme=http
        ",
    )
    .await;
    // It takes precedence over `https()`.
    table(
        || trusting(TraceLayer::server().https()),
        "GET /users/7 | X-Forwarded-Proto: http => url.scheme=http",
    )
    .await;
}

#[tokio::test]
async fn url_query_is_present_if_the_request_has_a_query() {
    table(
        TraceLayer::server,
        "
        GET /users/7?page=2&x => url.query=page=2&x
        GET /users/7          => url.query=-
        GET /users/7?         => url.query=-
        GET /users/7??        => url.query=?
        ",
    )
    .await;
}

/// Keys are case-sensitive and compared after percent-decoding.
#[tokio::test]
async fn url_query_redacts_the_values_of_sensitive_keys() {
    for key in "X-Amz-Signature X-Amz-Credential X-Amz-Security-Token AWSAccessKeyId Signature sig X-Goog-Signature"
        .split(' ')
    {
        let case = format!("GET /?a=b&{key}=s3cr3t&c=d => url.query=a=b&{key}=REDACTED&c=d");
        table(TraceLayer::server, &case).await;
    }
    table(
        TraceLayer::server,
        "
        GET /?SIG=open              => url.query=SIG=open
        GET /?s%69g=s3cr3t          => url.query=s%69g=REDACTED
        GET /?sig=s3cr3t&sig=s3cr3t => url.query=sig=REDACTED&sig=REDACTED
        GET /?sig                   => url.query=sig
        ",
    )
    .await;
}

#[tokio::test]
async fn sensitive_query_keys_replaces_the_default_list() {
    table(
        || TraceLayer::server().sensitive_query_keys(SensitiveKeys::new(["token"])),
        "GET /users/7?token=s3cr3t&sig=open => url.query=token=REDACTED&sig=open",
    )
    .await;
}

#[tokio::test]
async fn http_route_is_the_template_of_the_matched_route() {
    table(
        TraceLayer::server,
        "
        GET /users/7 => http.route=/users/{id}
        GET /nowhere => http.route=-
        OPTIONS *    => http.route=-
        ",
    )
    .await;
}

#[tokio::test]
async fn the_span_name_is_the_method_and_the_route_without_the_path() {
    names(
        TraceLayer::server,
        "
        GET /users/7     => GET /users/{id}
        QUERY /users/7   => QUERY /users/{id}
        GET /nowhere/7   => GET
        OPTIONS *        => OPTIONS
        PURGE /users/7   => HTTP /users/{id}
        get /users/7     => HTTP /users/{id}
        PURGE /nowhere/7 => HTTP
        ",
    )
    .await;
}

/// The names of spans if `PURGE` and `GET` are the known methods.
const NAMES_WITH_PURGE: &str = "
    PURGE /users/7 => PURGE /users/{id}
    GET /users/7   => GET /users/{id}
    POST /users/7  => HTTP /users/{id}
";

#[tokio::test]
async fn known_methods_can_be_replaced() {
    let layer = || TraceLayer::server().known_methods(KnownMethods::new(["PURGE", "GET"]));
    names(layer, NAMES_WITH_PURGE).await;
    table(
        layer,
        "
        PURGE /users/7 => http.request.method=PURGE
        POST /users/7  => http.request.method=_OTHER | http.request.method_original=POST
        ",
    )
    .await;
}

/// Runs in its own process, because the environment is shared by all threads.
#[test]
fn known_methods_can_be_replaced_by_the_environment() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "url::with_known_methods_from_the_environment",
        ])
        .env("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PURGE, GET")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
}

#[tokio::test]
#[ignore = "the test above runs it, in an environment of its own"]
async fn with_known_methods_from_the_environment() {
    names(TraceLayer::server, NAMES_WITH_PURGE).await;
}
