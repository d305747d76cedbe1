//! Client or server.

/// The side of the exchange that is instrumented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The instrumented code receives the request and sends the response.
    Server,
    /// The instrumented code sends the request and receives the response.
    Client,
}
