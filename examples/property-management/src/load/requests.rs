//! The requests that are measured.

/// A kind of request.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) method: &'static str,
    /// `{id}` is a property of the user.
    pub(super) path: &'static str,
    /// Whether the body contains the credentials of the user. Other requests have no body.
    pub(super) sends_credentials: bool,
    /// The number of requests per second.
    pub(super) rate: f64,
    /// The number of requests in a block.
    pub(super) requests: usize,
    /// The number of blocks for each system in a round.
    pub(super) blocks: usize,
}

/// The measured kinds of requests: the cheapest typical request, and slow requests.
pub(super) const KINDS: [Kind; 3] = [
    Kind {
        name: "read",
        description: "an authenticated read of one row",
        method: "GET",
        path: "/properties/{id}",
        sends_credentials: false,
        rate: 200.0,
        requests: 100,
        blocks: 4,
    },
    Kind {
        name: "model",
        description: "two reads, a call of another service, one of the model, a write",
        method: "POST",
        path: "/properties/{id}/description",
        sends_credentials: false,
        rate: 20.0,
        requests: 20,
        blocks: 1,
    },
    Kind {
        name: "login",
        description: "a password hash",
        method: "POST",
        path: "/login",
        sends_credentials: true,
        rate: 2.0,
        requests: 4,
        blocks: 1,
    },
];
