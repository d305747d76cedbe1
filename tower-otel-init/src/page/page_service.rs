//! The page as a service, for a router of the application.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::page::response_body::ResponseBody;
use crate::page::routes::{BoxError, Routes};

/// The service of the page.
#[derive(Clone)]
pub(crate) struct PageService(pub(crate) Arc<Routes>);

impl<B> Service<Request<B>> for PageService
where
    B: Body<Data: AsRef<[u8]> + Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let routes = Arc::clone(&self.0);
        Box::pin(async move { Ok(routes.respond_mounted(request).await) })
    }
}
