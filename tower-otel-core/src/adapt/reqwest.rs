//! Requests, responses and errors of `reqwest::Client` as a tower service.

use http::{Extensions, HeaderMap, Method, StatusCode, Version};
use reqwest::{Body, Request, Response, ResponseBuilderExt, Url};

use tower_otel_semconv::Target;

use crate::{
    body::ResponseBody,
    end::End,
    exchange_guard::ExchangeGuard,
    head::{RequestHead, ResponseHead},
    observe::Exchange,
    response::{AnnouncedBody, BodyExpectation, WrapResponse, end_at_head, upgraded},
};

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
}

impl<E: Exchange + Send + Sync + 'static> WrapResponse<E> for Response {
    type Wrapped = Response;

    /// The URL is copied to the new response, because the conversion to [`http::Response`] and back loses it. Everything
    /// else is preserved.
    fn wrap(self, mut guard: ExchangeGuard<E>, expectation: BodyExpectation) -> Self::Wrapped {
        if !E::OBSERVES_RESPONSE {
            return self;
        }
        guard.response(&self);
        if let Some(end) = expectation.end_at_head(self.status(), false) {
            if let End::Upgraded = end {
                upgraded(&mut guard, &self);
            }
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

/// Returns the extensions with the URL of the response.
///
/// Only [`ResponseBuilderExt::url`] can insert it, because the type of the extension is private. The builder cannot fail:
/// its status and headers are the default.
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
