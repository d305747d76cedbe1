//! Observers as middleware of `reqwest_middleware`.

use std::{future::Future, panic::resume_unwind, pin::Pin};

use http::{Extensions, HeaderMap, Method, Version};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};

use tower_otel_semconv::Target;

use crate::{
    attempts::Attempts,
    future::ResponseFuture,
    head::RequestHead,
    layer::ObserveLayer,
    observe::{Exchange, Observe},
    response::BodyExpectation,
    start::start,
};

/// Middleware of a `ClientWithMiddleware` that observes its requests.
///
/// Created by [`ObserveLayer::into_middleware`].
#[derive(Clone, Copy, Debug)]
pub struct ObserveMiddleware<O> {
    observer: O,
}

impl<O> ObserveLayer<O> {
    /// Converts the layer into middleware of `reqwest_middleware`. Requires the feature `reqwest-middleware`.
    ///
    /// Add it after the middleware that retries: each attempt is then a separate exchange. If the exchange
    /// [observes the response](Exchange::OBSERVES_RESPONSE), the middleware inserts [`Attempts`] into the extensions of the
    /// chain, unless they already contain it. Observers can read these extensions, such as a [`Route`](crate::Route) that
    /// `RequestBuilder::with_extension` adds.
    ///
    /// ```
    /// use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
    /// use tower_otel_core::{Observe, observe};
    ///
    /// fn client<O>(layers: O) -> ClientWithMiddleware
    /// where
    ///     O: Observe<Exchange: Send + Sync> + Send + Sync + 'static,
    /// {
    ///     ClientBuilder::new(reqwest::Client::new()).with(observe(layers).into_middleware()).build()
    /// }
    /// ```
    pub fn into_middleware(self) -> ObserveMiddleware<O> {
        let Self { observer } = self;
        ObserveMiddleware { observer }
    }
}

type HandleFuture<'a> =
    Pin<Box<dyn Future<Output = reqwest_middleware::Result<Response>> + Send + 'a>>;

impl<O> Middleware for ObserveMiddleware<O>
where
    O: Observe<Exchange: Send + Sync> + Send + Sync + 'static,
{
    // The signature that the async-trait macro generates.
    fn handle<'this, 'extensions, 'next, 'future>(
        &'this self,
        mut request: Request,
        extensions: &'extensions mut Extensions,
        next: Next<'next>,
    ) -> HandleFuture<'future>
    where
        'this: 'future,
        'extensions: 'future,
        'next: 'future,
        Self: 'future,
    {
        let expectation = BodyExpectation::of(request.method());
        let mut head = ChainRequest {
            request: &mut request,
            extensions,
        };
        // The panic may continue here, because the chain calls middleware in its `poll`.
        let mut guard =
            start(&self.observer, &mut head).unwrap_or_else(|panic| resume_unwind(panic));
        guard.run(|| self.observer.send(&mut head));
        if !O::Exchange::OBSERVES_RESPONSE {
            return next.run(request, extensions);
        }
        let inner = async move {
            let hidden = HiddenAttempts::new(extensions);
            next.run(request, hidden.extensions).await
        };
        Box::pin(ResponseFuture::new(inner, guard, expectation))
    }
}

/// A request with the extensions of its middleware chain.
struct ChainRequest<'a> {
    request: &'a mut Request,
    extensions: &'a mut Extensions,
}

impl RequestHead for ChainRequest<'_> {
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

/// Removes the attempt counter from the extensions while the inner chain runs.
///
/// Inner middleware must not count its attempts as attempts of this middleware. Dropping this value restores the counter,
/// or creates it, so the first attempt finds no counter.
struct HiddenAttempts<'a> {
    extensions: &'a mut Extensions,
    attempts: Option<Attempts>,
}

impl<'a> HiddenAttempts<'a> {
    fn new(extensions: &'a mut Extensions) -> Self {
        let attempts = extensions.remove();
        Self {
            extensions,
            attempts,
        }
    }
}

impl Drop for HiddenAttempts<'_> {
    fn drop(&mut self) {
        let attempts = self
            .attempts
            .take()
            .unwrap_or_else(Attempts::with_one_attempt);
        self.extensions.insert(attempts);
    }
}
