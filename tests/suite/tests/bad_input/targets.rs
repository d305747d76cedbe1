//! The target of the request.

use crate::{
    case::{Case, cases},
    spans::assert_recorded,
};

/// The authority of the target takes precedence over `Host`. hyper parses any target without a slash as an authority.
pub(crate) fn targets() -> Vec<Case> {
    cases(
        "
        GET /things/7?a=b&c HTTP/1.1              => url.path=/things/7 | url.query=a=b&c
        GET /things/7? HTTP/1.1                   => url.query=-
        GET /things/7?sig=s3cr3t&a=1 HTTP/1.1     => url.query=sig=REDACTED&a=1
        GET /things/%ff%00 HTTP/1.1               => url.path=/things/%ff%00
        GET //things//7 HTTP/1.1                  => name=GET | url.path=//things//7
        GET /../../etc/passwd HTTP/1.1            => name=GET | url.path=/../../etc/passwd
        GET /<60000 a> HTTP/1.1                   => name=GET | url.path=/<60000 a>
        GET /things/7?<60000 q> HTTP/1.1          => url.query=<60000 q>

        GET http://one.example:81/things/7?a=b HTTP/1.1 | Host: two.example:82 => server.address=one.example | server.port=81 | url.path=/things/7 | url.query=a=b
        GET http://[::1]:81/things/7 HTTP/1.1                                  => server.address=::1 | server.port=81
        GET http://[::1]/things/7 HTTP/1.1 | Host: two.example                 => server.address=::1 | server.port=-
        GET http://me:s3cr3t@one.example/things/7 HTTP/1.1 | Host: two.example => server.address=- | server.port=-
        GET http://one.example HTTP/1.1                                        => name=GET | server.address=one.example | server.port=- | url.path=/
        GET gopher://one.example/things/7 HTTP/1.1                             => server.address=one.example | server.port=- | url.scheme=http

        OPTIONS * HTTP/1.1 | Host: two.example               => name=OPTIONS | server.address=two.example | server.port=-
        CONNECT one.example:443 HTTP/1.1 | Host: two.example => name=CONNECT | server.address=one.example | server.port=443 | url.path=-
        GET things HTTP/1.1                                  => name=GET | server.address=things | server.port=- | url.path=-
        ",
    )
}

#[tokio::test]
async fn every_form_of_request_target_is_recorded_by_its_parts() {
    assert_recorded(targets()).await;
}
