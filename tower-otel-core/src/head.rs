//! The traits for the requests and responses of different libraries.

use http::{Extensions, HeaderMap, Method, StatusCode, Version};

use crate::Target;

/// The head of a request. An observer reads it, and may change it before the inner service is called.
///
/// Implemented for [`http::Request`] with any body, and for `reqwest::Request` with the feature
/// `reqwest`.
pub trait RequestHead {
    /// Returns the method as sent.
    fn method(&self) -> &Method;
    /// Returns the target.
    fn target(&self) -> Target<'_>;
    /// Returns the protocol version of the request. On a client this is the requested version, not
    /// the negotiated one.
    fn version(&self) -> Version;
    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;
    /// Returns the headers mutably. Used to propagate context.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// Returns the extensions. Returns `None` if the type of the request has none, such as `reqwest::Request`.
    fn extensions(&self) -> Option<&Extensions>;
    /// Returns the extensions mutably, if the type of the request has any. Used to pass values to the handler.
    fn extensions_mut(&mut self) -> Option<&mut Extensions>;
}

/// The head of a response.
///
/// Implemented for [`http::Response`] with any body, and for `reqwest::Response` with the feature `reqwest`.
pub trait ResponseHead {
    /// Returns the status code.
    fn status(&self) -> StatusCode;
    /// Returns the protocol version. On a client this is the negotiated one.
    fn version(&self) -> Version;
    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;
    /// Returns the extensions.
    fn extensions(&self) -> &Extensions;
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

/// Returns the target that a server received, before routers removed a prefix from its path: axum's
/// `OriginalUri` if the request has one (feature `axum`), else the target of the request.
pub(crate) fn received_target<'a>(
    request: &'a dyn RequestHead,
    extensions: Option<&'a Extensions>,
) -> Target<'a> {
    #[cfg(feature = "axum")]
    if let Some(original) =
        extensions.and_then(|extensions| extensions.get::<axum::extract::OriginalUri>())
    {
        return Target::of(&original.0);
    }
    let _ = extensions;
    request.target()
}
