//! The life of one HTTP exchange, observed once.

mod adapt;
mod body;
mod end;
mod filter;
mod future;
mod head;
mod kind;
mod layer;
mod observe;
mod peer;
mod recording;
mod response;
mod route;
mod route_layer;
pub mod semconv;
mod service;
mod target;

pub use body::ResponseBody;
pub use end::{End, Failure};
pub use filter::Filter;
pub use future::ResponseFuture;
pub use head::{RequestHead, ResponseHead};
pub use kind::Kind;
pub use layer::{ObserveLayer, observe};
pub use observe::{EnteredBoth, Exchange, Observe};
pub use peer::PeerAddr;
pub use recording::Recording;
pub use response::{Asked, WrapResponse};
pub use route::{Route, RouteSlot, RouteSource, Routing};
pub use route_layer::{RouteLayer, RouteService};
pub use service::Observed;
pub use target::Target;
