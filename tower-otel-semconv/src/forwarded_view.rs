//! Two tellings of one request's way here, `Forwarded` and `X-Forwarded-*`, made into one.

use std::borrow::Cow;

use super::endpoint::Endpoint;
use super::forwarded_element::Node;
use super::host_port::HostPort;
use super::server_scheme as scheme;

/// What one family of headers tells, as far as it may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Story<'h> {
    /// `None`: not a word about it.
    pub(super) client: Option<Node>,
    /// A known scheme.
    pub(super) proto: Option<&'static str>,
    /// A host that can be read.
    pub(super) host: Option<Cow<'h, str>>,
}

impl<'h> Story<'h> {
    /// Keeps of the raw scheme and host only what can be recorded.
    pub(super) fn new(
        client: Option<Node>,
        proto: Option<&str>,
        host: Option<Cow<'h, str>>,
    ) -> Self {
        Self {
            client,
            proto: proto.and_then(scheme::known),
            host: host.filter(|host| HostPort::parse(host).is_some()),
        }
    }

    /// Both stories where they agree, either where the other is silent, nothing where they differ.
    pub(super) fn reconcile(self, other: Self) -> Self {
        Self {
            client: match (self.client, other.client) {
                (Some(Node::At(a)), Some(Node::At(b))) if a.address == b.address => {
                    Some(Node::At(Endpoint {
                        port: a.port.or(b.port),
                        ..a
                    }))
                }
                (Some(_), Some(_)) => Some(Node::Unknown),
                (a, b) => a.or(b),
            },
            proto: match (self.proto, other.proto) {
                (Some(a), Some(b)) if a != b => None,
                (a, b) => a.or(b),
            },
            host: match (self.host, other.host) {
                (Some(a), Some(b)) if !a.eq_ignore_ascii_case(&b) => None,
                (a, b) => a.or(b),
            },
        }
    }
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;

    fn story(
        client: Option<&str>,
        proto: Option<&str>,
        host: Option<&'static str>,
    ) -> Story<'static> {
        Story::new(client.map(Node::parse), proto, host.map(Cow::Borrowed))
    }

    #[test]
    fn agreement_stands_silence_yields_contradiction_voids() {
        let told = || story(Some("192.0.2.1"), Some("https"), Some("a.example"));
        let silent = || story(None, None, None);
        let contradicted = story(Some("unknown"), None, None);
        for (a, b, both) in [
            (told(), told(), told()),
            (told(), silent(), told()),
            (silent(), told(), told()),
            (silent(), silent(), silent()),
            (
                told(),
                story(Some("192.0.2.1:80"), Some("HTTPS"), Some("a.example")),
                Story {
                    client: Some(Node::parse("192.0.2.1:80")),
                    ..told()
                },
            ),
            (
                told(),
                story(Some("192.0.2.2"), Some("http"), Some("b.example")),
                contradicted.clone(),
            ),
            (
                told(),
                story(Some("unknown"), Some("http"), Some("a.example:1")),
                contradicted,
            ),
        ] {
            assert_eq!(a.reconcile(b), both);
        }
    }

    #[test]
    fn what_cannot_be_recorded_is_not_told() {
        assert_eq!(
            story(None, Some("gopher"), Some("a b")),
            story(None, None, None)
        );
    }
}
