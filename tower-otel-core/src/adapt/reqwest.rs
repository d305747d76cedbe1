//! `reqwest::Client` as a tower service.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, Method, StatusCode, Version};
use reqwest::{Body, Request, Response, ResponseBuilderExt, Url};

use crate::{
    Exchange, RequestHead, ResponseHead, Target,
    body::ResponseBody,
    exchange_guard::ExchangeGuard,
    response::{AnnouncedBody, BodyExpectation, WrapResponse, end_at_head},
};
use tower_otel_semconv as semconv;

impl RequestHead for Request {
    fn method(&self) -> &Method {
        self.method()
    }

    fn target(&self) -> Target<'_> {
        let url = self.url();
        let authority = Some(url.authority()).filter(|authority| !authority.is_empty());
        Target::with_authority(Some(url.scheme()), authority, url.path(), url.query())
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
        None
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        None
    }
}

impl ResponseHead for Response {
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

    fn peer(&self) -> Option<SocketAddr> {
        self.remote_addr()
    }
}

impl<E: Exchange + Send + Sync + 'static> WrapResponse<E> for Response {
    type Wrapped = Response;

    /// The response's URL is carried across by hand: a conversion to [`http::Response`] and back
    /// keeps everything else, and forgets that.
    fn wrap(self, mut guard: ExchangeGuard<E>, expectation: BodyExpectation) -> Self::Wrapped {
        if !E::OBSERVES_RESPONSE {
            return self;
        }
        guard.response(&self);
        if let Some(end) = expectation.end_at_head(self.status(), false) {
            guard.end(end);
            return self;
        }
        let url = self.url().clone();
        let response: http::Response<Body> = self.into();
        let announced = AnnouncedBody::of(&mut guard, response.body());
        let expected = end_at_head(&mut guard, &response, announced, expectation);
        let (mut parts, body) = response.into_parts();
        let body = if guard.is_open() {
            Body::wrap(ResponseBody::new(body, guard, expected))
        } else {
            body
        };
        parts.extensions = with_url(parts.extensions, url);
        http::Response::from_parts(parts, body).into()
    }
}

/// As a builder of responses leaves it there, and nobody else can. A builder fails by what it was
/// told of status and headers, and this one is told of neither.
fn with_url(extensions: Extensions, url: Url) -> Extensions {
    let mut builder = http::Response::builder();
    if let Some(built) = builder.extensions_mut() {
        *built = extensions;
    }
    builder.url(url).body(()).map_or_else(
        |_| Extensions::new(),
        |response| response.into_parts().0.extensions,
    )
}

/// What reqwest knows of its error: whether a time-out was its own, and whether it refused to be
/// redirected.
pub(super) fn classify(error: &reqwest::Error) -> Option<&'static str> {
    if error.is_timeout() {
        return Some(semconv::error::TIMEOUT);
    }
    error.is_redirect().then_some(semconv::error::REDIRECT)
}
