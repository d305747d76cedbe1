//! One neutral view over the requests and responses of different libraries.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, Method, StatusCode, Version};

use crate::{PeerAddr, Target};

/// What an observer may see, and change, of a request before it is sent or handled.
///
/// Implemented for [`http::Request`] with any body, and for `reqwest::Request` with the feature
/// `reqwest`.
pub trait RequestHead {
    /// The method, as it was sent.
    fn method(&self) -> &Method;
    /// The target.
    fn target(&self) -> Target<'_>;
    /// The protocol version of the request. On a client this is the version asked for, not the one
    /// that was negotiated.
    fn version(&self) -> Version;
    /// The headers.
    fn headers(&self) -> &HeaderMap;
    /// The headers, for an observer that propagates context.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// The extensions, where the request type has any to show (`reqwest::Request` has not).
    fn extensions(&self) -> Option<&Extensions>;
    /// The extensions, for an observer that leaves something for the handler.
    fn extensions_mut(&mut self) -> Option<&mut Extensions>;
    /// The address of the peer that asks, as far as the request knows it.
    fn peer(&self) -> Option<SocketAddr> {
        self.extensions().and_then(PeerAddr::of)
    }
}

/// What an observer may see of a response before its body.
pub trait ResponseHead {
    /// The status.
    fn status(&self) -> StatusCode;
    /// The protocol version. On a client this is the negotiated one.
    fn version(&self) -> Version;
    /// The headers.
    fn headers(&self) -> &HeaderMap;
    /// The extensions.
    fn extensions(&self) -> &Extensions;
    /// The address of the peer that answered, as far as the response knows it.
    fn peer(&self) -> Option<SocketAddr> {
        PeerAddr::of(self.extensions())
    }
}

impl<B> RequestHead for http::Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn target(&self) -> Target<'_> {
        Target::of(self.uri())
    }

    fn version(&self) -> Version {
        self.version()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        Some(self.extensions_mut())
    }
}

impl<B> ResponseHead for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn version(&self) -> Version {
        self.version()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions(&self) -> &Extensions {
        self.extensions()
    }
}

/// Returns the target a server received, before routers removed a prefix from its path: axum's
/// `OriginalUri` where the request has one (feature `axum`), else the target of the request.
pub(crate) fn received_target(request: &dyn RequestHead) -> Target<'_> {
    #[cfg(feature = "axum")]
    if let Some(original) = request
        .extensions()
        .and_then(|extensions| extensions.get::<axum::extract::OriginalUri>())
    {
        return Target::of(&original.0);
    }
    request.target()
}
