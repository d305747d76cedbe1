//! The settings that the page changes through the control service.

use std::error::Error;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower_service::Service;

use crate::control::Control;
use crate::control_service::ControlService;

/// The path at which the control service is mounted.
pub(crate) const PATH: &str = "/control/";

/// The timeout of a request, because the page has few connections.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

const LATE: &[u8] = b"the request took longer than 10 seconds; nothing is changed\n";

/// Calls the control service with the path after [`PATH`]. Responses to a `PUT` are short texts.
pub(crate) async fn respond<B>(
    control: &Control,
    mut request: Request<B>,
    limit: Duration,
) -> Response<Vec<u8>>
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
    let answer = ControlService(control.clone()).call(request);
    let Ok(Ok(response)) = timeout(limit, answer).await else {
        let mut late = Response::new(LATE.to_vec());
        *late.status_mut() = StatusCode::REQUEST_TIMEOUT;
        return late;
    };
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(parts, body.to_bytes().into())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::Frame;
    use tokio::runtime::Builder;

    use super::*;
    use crate::control_service::tests::control;

    /// A body that never arrives.
    struct Pending;

    impl Body for Pending {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn a_setting_that_does_not_arrive_ends_its_connection_and_changes_nothing() {
        let (control, _telemetry) = control();
        let before = control.sampling();
        let request = Request::put("/control/sampling").body(Pending).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let limit = Duration::from_millis(20);
        let answer = runtime.block_on(async { respond(&control, request, limit).await });
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(control.sampling(), before);
    }
}
