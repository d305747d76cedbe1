/// Which end of the exchange a layer watches: the only switch between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The exchange arrives from the network and is answered here.
    Server,
    /// The exchange is sent from here and answered elsewhere.
    Client,
}
