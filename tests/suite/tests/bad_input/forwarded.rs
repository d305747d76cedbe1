//! The headers of proxies.

use crate::{
    case::{Case, cases, trusting_cases},
    servers::peer,
    spans::assert_recorded,
};

/// Headers of proxies that are malformed.
const MALFORMED: &str = r#"
    Forwarded:\x20
    Forwarded: ;;;,,,
    Forwarded: for="unterminated
    Forwarded: for=\xff;proto=\xff;host=\xff
    Forwarded: for=_hidden;proto=gopher;host="a b"
    Forwarded: for=;proto=;host=
    Forwarded: for=203.0.113.7<999 ,for=203.0.113.7>
    X-Forwarded-For:\x20
    X-Forwarded-For: unknown, , \xff
    X-Forwarded-For: 999.999.999.999
    X-Forwarded-Proto: https\xff
    X-Forwarded-Host: user:secret@api.example
    X-Forwarded-Host: [::1
    X-Forwarded-Host: <16000 a>
"#;

/// If `Forwarded` and `X-Forwarded-*` contradict each other, both are ignored.
pub(crate) fn forwarded() -> Vec<Case> {
    let mut all = trusting_cases(
        r#"
        Host: inner.example | Forwarded: for="[2001:db8::1]:4711";proto=https;host=api.example => client.address=2001:db8::1 | url.scheme=https | server.address=api.example | server.port=-
        Host: inner.example | X-Forwarded-For: 203.0.113.7 | X-Forwarded-Proto: https | X-Forwarded-Host: [::1]:8443 => client.address=203.0.113.7 | url.scheme=https | server.address=::1 | server.port=8443
        Forwarded: for=198.51.100.1;proto=https | X-Forwarded-For: 203.0.113.7 | X-Forwarded-Proto: http => client.address=- | url.scheme=http
        "#,
    );
    let peer = peer().ip();
    let untrusted = format!(
        "server.address=inner.example | server.port=- | client.address={peer} | url.scheme=http"
    );
    for header in MALFORMED
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let request = format!("Host: inner.example | {header}");
        all.extend(cases(&format!("{request} => {untrusted}")));
        all.extend(trusting_cases(&format!("{request} => url.scheme=http")));
    }
    all
}

#[tokio::test]
async fn forwarded_headers_are_used_only_if_trusted_and_well_formed() {
    assert_recorded(forwarded()).await;
}
