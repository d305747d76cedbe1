//! The service responds to every request, and a refused request changes no setting.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use http::header::HeaderName;
use proptest::prelude::*;
use tower::ServiceExt;
use tracing_subscriber::Registry;

use super::*;
use crate::options::{MetricsExporter, TracesExporter};
use crate::telemetry::Telemetry;

/// Telemetry with a layer that writes log lines.
pub(crate) fn control() -> (Control, Telemetry) {
    let builder = Telemetry::builder("users").metrics(MetricsExporter::None);
    let builder = builder.traces(TracesExporter::Console).log_filter("info");
    let (telemetry, _) = builder.local::<Registry>().unwrap();
    let control = telemetry.control();
    drop(control.layer_filter());
    (control, telemetry)
}

fn send(control: &Control, request: Request<Full<Bytes>>) -> (StatusCode, HeaderMap, String) {
    let response = ControlService(control.clone()).oneshot(request);
    let response = futures_util::FutureExt::now_or_never(response).unwrap();
    let (head, body) = response.unwrap().into_parts();
    let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap();
    let body = body.unwrap().to_bytes().to_vec();
    (head.status, head.headers, String::from_utf8(body).unwrap())
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path);
    request.body(Full::from(body.into())).unwrap()
}

fn settings(control: &Control) -> [String; 3] {
    [control.sampling(), control.keep(), control.log_filter()]
}

#[test]
fn a_setting_is_changed_and_read() {
    let (control, _telemetry) = control();
    for (path, text, expected) in [
        ("/sampling", "0.5", "parentbased_traceidratio=0.5\n"),
        ("/sampling/", "always_on\n", "always_on\n"),
        ("/keep", " none ", "none\n"),
        ("/keep", "errors", "errors,per_second=100\n"),
        (
            "/log_filter",
            "debug,users=trace",
            "debug,users=trace,opentelemetry=off\n",
        ),
    ] {
        let (status, headers, body) = send(&control, request("PUT", path, text));
        assert_eq!((status, &*body), (StatusCode::OK, expected));
        assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        let (status, _, body) = send(&control, request("GET", path, ""));
        assert_eq!((status, &*body), (StatusCode::OK, expected));
    }
}

#[test]
fn a_text_that_is_not_accepted_is_400_with_what_is_accepted_and_changes_nothing() {
    let (control, _telemetry) = control();
    let before = settings(&control);
    for (path, text, expected) in [
        (
            "/sampling",
            "2",
            "\"2\" is not a sampler (expected always_on,",
        ),
        ("/sampling", "", "\"\" is not a sampler"),
        (
            "/keep",
            "all",
            "\"all\" is not a list of keep rules (expected none,",
        ),
        (
            "/keep",
            "errors,per_second=0",
            "is not a list of keep rules",
        ),
        (
            "/log_filter",
            "a=b=c",
            "\"a=b=c\" is not a log filter (expected directives",
        ),
        ("/log_filter", "", "\"\" is not a log filter"),
        (
            "/log_filter",
            "info, 2÷=x",
            "\"info,2÷=x\" is not a log filter",
        ),
    ] {
        let (status, _, body) = send(&control, request("PUT", path, text));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {text}");
        assert!(
            body.contains(expected) && body.contains("nothing is changed"),
            "{body}"
        );
    }
    let (status, _, body) = send(&control, request("PUT", "/keep", vec![0xff]));
    assert_eq!(
        (status, body),
        (StatusCode::BAD_REQUEST, format!("{NOT_UTF8}\n"))
    );
    let long = format!("0.1{}", ",GET /=1".repeat(900));
    let (status, _, body) = send(&control, request("PUT", "/sampling", long));
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.len() < 1_000, "{body}");
    assert_eq!(settings(&control), before);
}

#[test]
fn other_methods_are_405_with_those_that_are_allowed() {
    let (control, _telemetry) = control();
    let before = settings(&control);
    for (method, path, allowed) in [
        ("PUT", "/", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/sampling", "GET, HEAD, PUT"),
        ("DELETE", "/keep", "GET, HEAD, PUT"),
        ("OPTIONS", "/log_filter", "GET, HEAD, PUT"),
    ] {
        let (status, headers, _) = send(&control, request(method, path, "none"));
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers[ALLOW], allowed);
    }
    for path in ["/x", "/sampling/x", "//", "/SAMPLING", "/keep%2f"] {
        let (status, _, body) = send(&control, request("PUT", path, "none"));
        assert_eq!(
            (status, body),
            (StatusCode::NOT_FOUND, format!("{NOT_FOUND}\n"))
        );
    }
    assert_eq!(settings(&control), before);
}

#[test]
fn a_body_over_the_limit_is_413() {
    let (control, _telemetry) = control();
    let body = |length: usize| format!("{}none", " ".repeat(length - 4));
    let put = |length| send(&control, request("PUT", "/keep", body(length)));
    assert_eq!(put(MAX_BYTES + 1).0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(control.keep(), "errors,slower_than=1s,per_second=100");
    assert_eq!(put(MAX_BYTES).0, StatusCode::OK);
    assert_eq!(control.keep(), "none");
}

/// A body of unknown length that never ends.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(
            b"none,",
        )))))
    }
}

#[test]
fn a_body_without_an_end_is_413() {
    let (control, _telemetry) = control();
    let put = Request::put("/keep").body(Endless).unwrap();
    let response = ControlService(control.clone()).oneshot(put);
    let response = futures_util::FutureExt::now_or_never(response).unwrap();
    assert_eq!(response.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn a_page_of_another_origin_cannot_change_a_setting() {
    let (control, _telemetry) = control();
    for (origin, expected) in [
        ("http://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        ("http://127.0.0.1:9901", StatusCode::OK),
    ] {
        let mut put = request("PUT", "/keep", "none");
        let header = HeaderValue::from_static(origin);
        put.headers_mut()
            .insert(HeaderName::from_static("origin"), header);
        assert_eq!(send(&control, put).0, expected, "{origin}");
    }
}

#[test]
fn a_setting_that_this_telemetry_does_not_have_is_409() {
    let builder = Telemetry::builder("users").metrics(MetricsExporter::None);
    let builder = builder.traces(TracesExporter::None);
    let (telemetry, _) = builder.local::<Registry>().unwrap();
    let control = telemetry.control();
    assert_eq!(control.keep(), "none");
    for (path, text) in [("/keep", "errors"), ("/log_filter", "info")] {
        let (status, _, body) = send(&control, request("PUT", path, text));
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(body.contains("nothing is changed"), "{body}");
    }
    let (status, _, _) = send(&control, request("PUT", "/sampling", "always_off"));
    assert_eq!(status, StatusCode::OK);
}

#[test]
fn the_state_is_json_with_the_settings_and_the_exporters() {
    let (control, _telemetry) = control();
    let (status, headers, body) = send(&control, request("GET", "/", ""));
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    let state: serde_json::Value = serde_json::from_str(&body).unwrap();
    let settings = &state["settings"];
    assert_eq!(settings["sampling"], "always_on");
    assert_eq!(settings["keep"], "errors,slower_than=1s,per_second=100");
    assert_eq!(settings["log_filter"], "info");
    let spans = &state["exporters"][0];
    assert_eq!(
        (&spans["signal"], &spans["state"]),
        (&"spans".into(), &"working".into())
    );
    assert_eq!(spans["dropped"]["keep_limited"], 0);
    assert_eq!(state["kept_traces"], serde_json::json!([]));
}

fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("errors".to_owned()),
        Just("none".to_owned()),
        Just("slower_than=5ms".to_owned()),
        Just("per_second=7".to_owned()),
        Just("0.5".to_owned()),
        Just("parentbased_traceidratio=0.25".to_owned()),
        Just("rate_limited=9".to_owned()),
        Just("GET /a=0.5".to_owned()),
        Just("info".to_owned()),
        Just("users[span{field=7}]=debug".to_owned()),
        "[a-zA-Z0-9_=/{}. \\[\\]-]{0,12}",
        ".{0,12}",
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_accepted_is_read_as_it_can_be_set_and_the_rest_changes_nothing(
        requests in prop::collection::vec((0_usize..3, texts()), 1..8)
    ) {
        let (control, _telemetry) = control();
        for (setting, text) in requests {
            let path = ["/sampling", "/keep", "/log_filter"][setting];
            let before = settings(&control);
            let (status, _, body) = send(&control, request("PUT", path, text));
            let after = settings(&control);
            if status == StatusCode::OK {
                prop_assert_eq!(&body, &format!("{}\n", after[setting]));
                let (again, _, same) = send(&control, request("PUT", path, after[setting].clone()));
                prop_assert_eq!((again, same), (StatusCode::OK, body));
            } else {
                prop_assert_eq!(status, StatusCode::BAD_REQUEST);
                prop_assert_eq!(&after, &before);
            }
            for other in (0..3).filter(|other| *other != setting) {
                prop_assert_eq!(&after[other], &before[other]);
            }
        }
    }
}
