//! Observers as a middleware of `reqwest_middleware`.

use std::{error::Error, future::Future, pin::Pin};

use http::{Extensions, HeaderMap, Method, Version};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use crate::{
    Attempts, Exchange, Observe, ObserveLayer, RequestHead, Target, future::ResponseFuture,
    response::BodyExpectation, start::start,
};
use tower_otel_semconv::error::chain;

/// Watches what passes through one place in the chain of a `ClientWithMiddleware`.
///
/// Made by [`ObserveLayer::into_middleware`].
#[derive(Clone, Copy, Debug)]
pub struct ObserveMiddleware<O> {
    observer: O,
}

impl<O> ObserveLayer<O> {
    /// The same as a middleware of `reqwest_middleware`.
    ///
    /// Behind a middleware that retries it sees each attempt as an exchange of its own, and counts
    /// them: [`Attempts`] is put into the chain's extensions, unless somebody else has done so, or
    /// no exchange [listens](Exchange::OBSERVES_RESPONSE). What the extensions hold of a request, such as its
    /// [`Route`](crate::Route), is seen by the observers.
    pub fn into_middleware(self) -> ObserveMiddleware<O> {
        let Self { observer } = self;
        ObserveMiddleware { observer }
    }
}

type Handled<'a> = Pin<Box<dyn Future<Output = reqwest_middleware::Result<Response>> + Send + 'a>>;

impl<O> Middleware for ObserveMiddleware<O>
where
    O: Observe<Exchange: Send + Sync> + Send + Sync + 'static,
{
    // As the macro of the async-trait crate would write it.
    fn handle<'this, 'extensions, 'next, 'handled>(
        &'this self,
        mut request: Request,
        extensions: &'extensions mut Extensions,
        next: Next<'next>,
    ) -> Handled<'handled>
    where
        'this: 'handled,
        'extensions: 'handled,
        'next: 'handled,
        Self: 'handled,
    {
        let expectation = BodyExpectation::of(request.method());
        let mut attempt = Attempt {
            request: &mut request,
            extensions,
        };
        let mut guard = start(&self.observer, &mut attempt);
        guard.run(|| self.observer.send(&mut attempt));
        if !O::Exchange::OBSERVES_RESPONSE {
            return next.run(request, extensions);
        }
        let below = async move {
            let hidden = HiddenAttempts::of(extensions);
            next.run(request, hidden.extensions).await
        };
        Box::pin(ResponseFuture::new(below, guard, expectation))
    }
}

/// A request, and what its chain of middleware knows of it.
struct Attempt<'a> {
    request: &'a mut Request,
    extensions: &'a mut Extensions,
}

impl RequestHead for Attempt<'_> {
    fn method(&self) -> &Method {
        self.request.method()
    }

    fn target(&self) -> Target<'_> {
        self.request.target()
    }

    fn version(&self) -> Version {
        self.request.version()
    }

    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions)
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        Some(self.extensions)
    }
}

/// The counter of this place in the chain, out of sight of places further in: what one attempt
/// here is made of is not an attempt here. There is none before the first attempt is over, because
/// only another one asks.
struct HiddenAttempts<'a> {
    extensions: &'a mut Extensions,
    attempts: Option<Attempts>,
}

impl<'a> HiddenAttempts<'a> {
    fn of(extensions: &'a mut Extensions) -> Self {
        let attempts = extensions.remove();
        Self {
            extensions,
            attempts,
        }
    }
}

impl Drop for HiddenAttempts<'_> {
    fn drop(&mut self) {
        let attempts = self.attempts.take().unwrap_or_else(Attempts::after_one);
        self.extensions.insert(attempts);
    }
}

/// The error of the client itself, in which middleware may have wrapped it. It has to be asked for
/// by name: `source` passes over it.
pub(super) fn client_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a reqwest::Error> {
    chain(error).find_map(|error| match error.downcast_ref()? {
        reqwest_middleware::Error::Reqwest(error) => Some(error),
        reqwest_middleware::Error::Middleware(error) => {
            error.chain().find_map(|error| error.downcast_ref())
        }
    })
}
