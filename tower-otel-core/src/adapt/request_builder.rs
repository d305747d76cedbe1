//! Sends requests of reqwest's builder through a tower service.

use std::future::{Future, poll_fn};

use reqwest::{Request, RequestBuilder};
use tower_service::Service;

/// Adds the method `send_with` to reqwest's `RequestBuilder`. It sends the request through a tower service, such as a
/// `reqwest::Client` with layers. Requires the feature `reqwest`.
///
/// ```no_run
/// use tower::Layer;
/// use tower_otel_core::{Observe, Observed, RequestBuilderExt, observe};
///
/// # async fn send<O>(layers: O) -> Result<(), reqwest::Error>
/// # where
/// #     O: Observe<Exchange: Send + Sync + 'static> + Clone,
/// # {
/// let http = reqwest::Client::new();
/// let client: Observed<reqwest::Client, O> = observe(layers).layer(http.clone());
///
/// let response = http.get("http://127.0.0.1:3000/users/7").send_with(client.clone()).await?;
/// # Ok(())
/// # }
/// ```
pub trait RequestBuilderExt {
    /// Builds the request, waits until the service is ready, and calls it.
    ///
    /// The default headers, proxies and connection pool are those of the service's client, not of the client that created
    /// the builder. Timeout, body and all other settings of the builder apply.
    ///
    /// The service is taken by value: pass `&mut service` or a clone.
    ///
    /// # Errors
    ///
    /// Returns the error of [`RequestBuilder::build`], for example for an invalid URL, and the errors of the service.
    fn send_with<S>(self, service: S) -> impl Future<Output = Result<S::Response, S::Error>>
    where
        S: Service<Request, Error: From<reqwest::Error>>;
}

impl RequestBuilderExt for RequestBuilder {
    async fn send_with<S>(self, mut service: S) -> Result<S::Response, S::Error>
    where
        S: Service<Request, Error: From<reqwest::Error>>,
    {
        let request = self.build()?;
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    }
}
