//! The responses of the page's server.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use opentelemetry::trace::TraceId;

use crate::control::Control;
use crate::page::assets::{self, ASSETS};
use crate::page::body_places::BodyPlaces;
use crate::page::event_stream::EventStream;
use crate::page::fetch_check;
use crate::page::host_check;
use crate::page::intake::{self, Intake};
use crate::page::live_settings;
use crate::page::page_state::PageState;
use crate::page::page_thread::PageJobs;
use crate::page::peer_check;
use crate::page::response_body::ResponseBody;
use crate::page::search::Search;
use crate::page::trace_body::TraceBody;

/// The maximum number of traces that are sent at the same time. A trace has at most 4 MiB.
const MAX_SENT_TRACES: usize = 4;
/// The maximum number of browsers that receive updates.
const MAX_EVENT_STREAMS: usize = 32;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The routes of the page.
pub(crate) struct Routes {
    state: Arc<PageState>,
    is_remote: bool,
    jobs: PageJobs,
    sent_traces: BodyPlaces<TraceBody>,
    event_streams: BodyPlaces<EventStream>,
    search: Search,
    intake: Intake,
    /// `None` if other machines may read the page, because they must not change settings.
    control: Option<Control>,
}

impl Routes {
    pub(crate) fn new(
        state: Arc<PageState>,
        is_remote: bool,
        control: Option<Control>,
        jobs: PageJobs,
    ) -> Self {
        Self {
            state,
            is_remote,
            jobs,
            sent_traces: BodyPlaces::new(MAX_SENT_TRACES),
            event_streams: BodyPlaces::new(MAX_EVENT_STREAMS),
            search: Search::new(),
            intake: Intake::new(),
            control: control.filter(|_| !is_remote),
        }
    }

    /// Answers a request of a server of the application, which other machines may reach.
    pub(crate) async fn respond_mounted<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: AsRef<[u8]> + Send, Error: Into<BoxError>> + Send + 'static,
    {
        match peer_check::refusal(&request).filter(|_| !self.is_remote) {
            Some(text) => response(StatusCode::FORBIDDEN, TEXT, text),
            None => self.respond(request).await,
        }
    }

    pub(crate) async fn respond<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: AsRef<[u8]> + Send, Error: Into<BoxError>> + Send + 'static,
    {
        if !self.jobs.has_thread() {
            // Its locks may be held forever.
            let text = "the page was started in another process, of which this one is a fork; start telemetry in each process\n";
            return response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
        }
        if !host_check::is_allowed(&request, self.is_remote) {
            let accepted = match self.is_remote {
                true => "Host is not accepted (expected localhost or an IP address)\n",
                false => "Host is not accepted (expected localhost or a loopback address)\n",
            };
            return response(StatusCode::FORBIDDEN, TEXT, accepted);
        }
        if let Some(file) = file(&request) {
            return file;
        }
        if !fetch_check::is_allowed(request.headers()) {
            let text = "a browser sends this request for another page\n";
            return response(StatusCode::FORBIDDEN, TEXT, text);
        }
        match (request.uri().path(), request.method()) {
            (intake::PATH, &Method::POST) => {
                match self.intake.receive(request, &self.state, &self.jobs).await {
                    Ok(encoded) => response(StatusCode::OK, intake::PROTOBUF, encoded),
                    Err((status, reason)) => response(status, TEXT, reason),
                }
            }
            (path, _) if path.starts_with(live_settings::PATH) => self.change(request).await,
            (intake::PATH, _) => not_allowed("POST", "method is not accepted (expected POST)\n"),
            (_, &Method::GET) => self.show(request.uri().clone()).await,
            _ => not_allowed("GET", "method is not accepted (expected GET)\n"),
        }
    }

    async fn change<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let Some(control) = &self.control else {
            let text = "other machines can read this page, so it changes no settings\n";
            return response(StatusCode::FORBIDDEN, TEXT, text);
        };
        let answer = live_settings::respond(control, request, live_settings::LIMIT);
        let (parts, body) = answer.await.into_parts();
        let mut answer = response(parts.status, TEXT, body);
        answer.headers_mut().extend(parts.headers);
        answer
    }

    async fn show(&self, uri: Uri) -> Response<ResponseBody> {
        match uri.path() {
            "/events" => self.events(),
            "/search" => self.search(uri.query().unwrap_or_default()).await,
            path => match path.strip_prefix("/traces/") {
                Some(id) => self.trace(id),
                None => response(StatusCode::NOT_FOUND, TEXT, "no such page\n"),
            },
        }
    }

    fn events(&self) -> Response<ResponseBody> {
        let events = EventStream::new(Arc::clone(&self.state), self.jobs.clone());
        match self.event_streams.take(events, Instant::now()) {
            Some(events) => {
                let events = ResponseBody::Events(events);
                response(StatusCode::OK, "text/event-stream", events)
            }
            None => busy("too many browsers show the page\n"),
        }
    }

    async fn search(&self, query: &str) -> Response<ResponseBody> {
        match self.search.run(query, &self.state, &self.jobs).await {
            Some(numbers) => {
                let numbers = serde_json::json!(numbers);
                response(StatusCode::OK, JSON, numbers.to_string())
            }
            None => busy("another search runs, or the page is stopped\n"),
        }
    }

    fn trace(&self, id: &str) -> Response<ResponseBody> {
        let too_many = || busy("too many traces are being read\n");
        // Taken before the spans are copied, because the export thread waits for the copy.
        let Some(body) = self.sent_traces.take(TraceBody::empty(), Instant::now()) else {
            return too_many();
        };
        let id = TraceId::from_hex(id).ok();
        let Some((spans, dropped)) = id.and_then(|id| self.state.trace(id)) else {
            let text = "no such trace: it has been removed, or the id is not one\n";
            return response(StatusCode::NOT_FOUND, TEXT, text);
        };
        match body.read(|body| *body = TraceBody::new(spans, dropped)) {
            Some(()) => response(StatusCode::OK, JSON, ResponseBody::Trace(body)),
            None => too_many(),
        }
    }
}

fn busy(text: &'static str) -> Response<ResponseBody> {
    let mut busy = response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
    let headers = busy.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    busy
}

/// Returns a file of the page. Links of other sites may lead to it.
fn file<B>(request: &Request<B>) -> Option<Response<ResponseBody>> {
    let path = request.uri().path();
    let file = ASSETS.iter().find(|(own, ..)| *own == path);
    let (_, media_type, content) = file.filter(|_| request.method() == Method::GET)?;
    Some(response(StatusCode::OK, media_type, *content))
}

fn not_allowed(allowed: &'static str, text: &'static str) -> Response<ResponseBody> {
    let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
    let headers = refused.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    refused
}

fn response(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<ResponseBody>,
) -> Response<ResponseBody> {
    const HEADERS: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, assets::CONTENT_SECURITY_POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
