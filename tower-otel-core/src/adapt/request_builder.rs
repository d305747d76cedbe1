//! Sends what reqwest's builder builds through a tower service.

use std::future::{Future, poll_fn};

use reqwest::{Request, RequestBuilder};
use tower_service::Service;

/// Sends a request of reqwest's builder through a tower service, such as a `reqwest::Client` with layers. Feature
/// `reqwest`.
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
    /// The service sends the request: with default headers, proxies and pool of its client, not of the client that made the
    /// builder. The timeout, the body and everything else that the builder sets are those of the request.
    ///
    /// The service is one that may be changed, `&mut service`, or a clone.
    ///
    /// # Errors
    ///
    /// That of [`RequestBuilder::build`], such as that of an invalid URL, and those of the service.
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
