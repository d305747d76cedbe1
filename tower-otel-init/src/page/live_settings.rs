//! The settings that the page changes, through the service of the control.

use std::error::Error;

use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower_service::Service;

use crate::control::Control;
use crate::control_service::ControlService;

/// Where the service of the control is mounted.
pub(crate) const PATH: &str = "/control/";

/// Calls the service with the rest of the path. Its answers to a `PUT` are short texts.
pub(crate) async fn respond<B>(control: &Control, mut request: Request<B>) -> Response<Vec<u8>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let path = request.uri().path().strip_prefix("/control");
    let path = path.and_then(|path| path.parse::<PathAndQuery>().ok());
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path;
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
    let Ok(response) = ControlService(control.clone()).call(request).await;
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(parts, body.to_bytes().into())
}
