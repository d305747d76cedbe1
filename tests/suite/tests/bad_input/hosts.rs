//! The address of the server.

use crate::{
    case::{Case, cases},
    spans::assert_recorded,
};

pub(crate) fn hosts() -> Vec<Case> {
    cases(
        r"
        Host: api.example                        => server.address=api.example | server.port=-
        Host: api.example:8080                   => server.address=api.example | server.port=8080
        Host: api.example:                       => server.address=api.example | server.port=-
        Host: 192.0.2.1:80                       => server.address=192.0.2.1 | server.port=80
        Host: [::1]:5000                         => server.address=::1 | server.port=5000
        Host: [2001:db8::7]                      => server.address=2001:db8::7 | server.port=-
        GET /things/7 HTTP/1.1                   => server.address=- | server.port=-
        GET /things/7 HTTP/1.0                   => server.address=- | server.port=- | network.protocol.version=1.0
        Host: a.example | Host: b.example        => server.address=- | server.port=-
        Host: a.example | Host: a.example        => server.address=- | server.port=-

        Host:\x20                                => server.address=- | server.port=-
        Host: :80                                => server.address=- | server.port=-
        Host: api example                        => server.address=- | server.port=-
        Host: api.example:http                   => server.address=- | server.port=-
        Host: api.example:+80                    => server.address=- | server.port=-
        Host: api.example:0                      => server.address=- | server.port=-
        Host: api.example:65536                  => server.address=- | server.port=-
        Host: api.example:99999999999999999999   => server.address=- | server.port=-
        Host: api.example:80:80                  => server.address=- | server.port=-
        Host: user:secret@api.example            => server.address=- | server.port=-
        Host: ::1                                => server.address=- | server.port=-
        Host: [::1                               => server.address=- | server.port=-
        Host: [::1]5000                          => server.address=- | server.port=-
        Host: [::1%eth0]                         => server.address=- | server.port=-
        Host: [zz]:80                            => server.address=- | server.port=-
        Host: a/b                                => server.address=- | server.port=-
        Host: a,b                                => server.address=- | server.port=-
        Host: h\xc3\xb6st                        => server.address=- | server.port=-
        Host: \xff\xff                           => server.address=- | server.port=-
        Host: <16000 a>                          => server.address=- | server.port=-
        ",
    )
}

#[tokio::test]
async fn a_malformed_host_header_sets_no_server_address() {
    assert_recorded(hosts()).await;
}
