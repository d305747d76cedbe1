//! Method, URL, server and template, and the name of the span.

use http::{StatusCode, header};
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request, single_connection_client},
    net::Http,
    table::{Absent, Int, Str, assert_span_attributes},
};
use tower_otel_core::{RequestHead, Route};
use tower_otel_semconv::{KnownMethods, SensitiveKeys};
use tower_otel_trace::{OptIn, TraceLayer};

use crate::{ALL, Client, HYPER, HttpClient, table};

#[tokio::test]
async fn http_request_method_is_a_known_method_or_other() {
    table(
        &ALL,
        TraceLayer::client,
        "
        QUERY http://api.example/users/7 => http.request.method=QUERY | http.request.method_original=-
        HEAD http://api.example/users/7  => http.request.method=HEAD | http.request.method_original=-
        PURGE http://api.example/users/7 => http.request.method=_OTHER | http.request.method_original=PURGE
        get http://api.example/users/7   => http.request.method=_OTHER | http.request.method_original=get
        ",
    )
    .await;
    table(
        &ALL,
        || TraceLayer::client().known_methods(KnownMethods::new(["PURGE"])),
        "
        PURGE http://api.example/users/7 => http.request.method=PURGE
        GET http://api.example/users/7   => http.request.method=_OTHER | http.request.method_original=GET
        ",
    )
    .await;
}

#[tokio::test]
async fn server_address_and_port_come_from_the_url_or_the_scheme_default() {
    table(
        &ALL,
        TraceLayer::client,
        "GET http://api.example/users/7 => server.address=api.example | server.port=80",
    )
    .await;
    table(
        &HYPER,
        TraceLayer::client,
        "
        GET https://api.example/users/7           => server.address=api.example | server.port=443
        GET http://api.example:8080/users/7       => server.address=api.example | server.port=8080
        GET https://[2001:db8::1]/users/7         => server.address=2001:db8::1 | server.port=443
        GET http://[::1]:5000/users/7             => server.address=::1 | server.port=5000
        GET http://me:s3cr3t@api.example/users/7  => server.address=api.example | server.port=80
        ",
    )
    .await;
}

#[tokio::test]
async fn server_address_comes_from_the_host_header_if_the_target_has_none() {
    for backend in Backend::ALL {
        for (host, address, port) in [
            ("api.example:8443", "api.example", Int(8443)),
            ("[::1]:5000", "::1", Int(5000)),
            // Without a scheme there is no default port.
            ("api.example", "api.example", Absent),
        ] {
            let client = Client::new(backend, TraceLayer::client()).await;
            let mut request = request("GET /users/7");
            let headers = request.headers_mut();
            headers.insert(header::HOST, host.parse().unwrap());
            // A client on one connection accepts targets without a host.
            let service = single_connection_client(client.server).await;
            assert_eq!(
                client.send_with(service, request).await,
                Some(StatusCode::OK)
            );
            assert_span_attributes(
                &client.next_span().await,
                &[
                    ("server.address", Str(address)),
                    ("server.port", port),
                    // A URL without a host is not complete.
                    ("url.full", Absent),
                ],
            );
        }
    }
}

#[tokio::test]
async fn url_full_is_the_whole_url_without_credentials_and_secrets() {
    table(
        &HYPER,
        TraceLayer::client,
        "
        GET http://api.example:8080/users/7?a=b => url.full=http://api.example:8080/users/7?a=b
        GET http://token@api.example/users/7    => url.full=http://REDACTED:REDACTED@api.example/users/7
        GET https://me:s3cr3t@api.example/users/7?a=b&sig=s3cr3t&X-Amz-Signature=s3cr3t => url.full=https://REDACTED:REDACTED@api.example/users/7?a=b&sig=REDACTED&X-Amz-Signature=REDACTED
        ",
    )
    .await;
    table(
        &ALL,
        TraceLayer::client,
        "
        GET http://api.example/users/7?a=b                      => url.full=http://api.example/users/7?a=b
        GET http://me:s3cr3t@api.example/users/7?sig=s3cr3t&a=b => url.full=http://REDACTED:REDACTED@api.example/users/7?sig=REDACTED&a=b
        ",
    )
    .await;
    table(
        &ALL,
        || TraceLayer::client().sensitive_query_keys(SensitiveKeys::new(["token"])),
        "GET http://api.example/?token=s3cr3t&sig=open => url.full=http://api.example/?token=REDACTED&sig=open",
    )
    .await;
}

#[tokio::test]
async fn url_full_is_the_url_before_redirects_that_reqwest_follows() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let http_client = HttpClient::Reqwest(Http::One);
        let status = client
            .send(http_client, "GET http://api.example/moved")
            .await;
        assert_eq!(status, Some(StatusCode::OK));
        assert_span_attributes(
            &client.next_span().await,
            &[
                ("url.full", Str("http://api.example/moved")),
                ("http.response.status_code", Int(200)),
                ("http.request.resend_count", Absent),
            ],
        );
    }
}

/// The server has no TLS; the scheme comes from the URL.
#[tokio::test]
async fn url_scheme_is_the_scheme_of_the_url_by_option() {
    let layer = || TraceLayer::client().opt_in([OptIn::UrlScheme]);
    table(
        &ALL,
        layer,
        "GET http://api.example/users/7 => url.scheme=http",
    )
    .await;
    let hyper = [HttpClient::Hyper(Http::One)];
    table(
        &hyper,
        layer,
        "GET https://api.example/users/7 => url.scheme=https",
    )
    .await;
}

#[tokio::test]
async fn url_template_is_the_route_extension_and_part_of_the_span_name() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let client_service = hyper_client_to(Http::One, client.server);
        for (line, name) in [
            ("GET http://api.example/users/7", "GET /users/{id}"),
            ("PURGE http://api.example/users/7", "HTTP /users/{id}"),
        ] {
            let mut request = request(line);
            request.extensions_mut().insert(Route::from("/users/{id}"));
            client.send_with(client_service.clone(), request).await;
            let span = client.next_span().await;
            assert_eq!(span.name, name);
            assert_span_attributes(
                &span,
                &[("url.template", Str("/users/{id}")), ("http.route", Absent)],
            );
        }
    }
}

#[tokio::test]
async fn url_template_is_part_of_the_span_name_for_any_url_length() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let client_service = hyper_client_to(Http::One, client.server);
        for length in (0..400).step_by(25) {
            let mut request = request(&format!(
                "GET http://api.example/users/{}",
                "7".repeat(length)
            ));
            request.extensions_mut().insert(Route::from("/users/{id}"));
            client.send_with(client_service.clone(), request).await;
            let span = client.next_span().await;
            assert_eq!(span.name, "GET /users/{id}", "{length}");
            assert_span_attributes(&span, &[("url.template", Str("/users/{id}"))]);
        }
    }
}

#[tokio::test]
async fn url_template_is_the_result_of_the_route_function() {
    let template = |request: &dyn RequestHead| {
        let path = request.target().path;
        path.starts_with("/users/").then(|| "/users/{id}".into())
    };
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client().route(template)).await;
        for http_client in ALL {
            let span = client
                .span_of(http_client, "GET http://api.example/users/7")
                .await;
            assert_eq!(span.name, "GET /users/{id}");
            assert_span_attributes(&span, &[("url.template", Str("/users/{id}"))]);
            let span = client
                .span_of(http_client, "GET http://api.example/moved/7")
                .await;
            assert_eq!(span.name, "GET");
            assert_span_attributes(&span, &[("url.template", Absent)]);
        }
    }
}

#[tokio::test]
async fn the_span_name_is_the_method_without_the_path() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in ALL {
            for (line, name) in [
                ("GET http://api.example/users/7", "GET"),
                ("QUERY http://api.example/users/7", "QUERY"),
                ("PURGE http://api.example/users/7", "HTTP"),
            ] {
                assert_eq!(client.span_of(http_client, line).await.name, name);
            }
        }
    }
}
