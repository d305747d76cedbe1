//! Responses without a body, and upgrades, end at the head.

use http::{Method, Response, StatusCode};

use crate::{
    exchange::respond,
    recording_observer::RecordingObserver,
    scripted_body::{ScriptedBody, Step},
};

#[test]
fn an_empty_body_is_complete_at_the_head() {
    let observer = RecordingObserver::default();
    let response = respond(
        &observer,
        Method::GET,
        Response::new(ScriptedBody::default().with_end_stream()),
    );
    assert_eq!(
        observer.ends(),
        ["end complete"],
        "before the response is dropped"
    );
    drop(response);
    assert_eq!(observer.ends(), ["end complete"]);
}

#[test]
fn responses_that_cannot_have_a_body_are_complete_at_the_head() {
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::HEAD, StatusCode::NOT_FOUND),
        (Method::GET, StatusCode::NO_CONTENT),
        (Method::GET, StatusCode::NOT_MODIFIED),
        (Method::GET, StatusCode::EARLY_HINTS),
    ] {
        let observer = RecordingObserver::default();
        let mut response = Response::new(ScriptedBody::new([Step::Data("ab")]));
        *response.status_mut() = status;
        let _response = respond(&observer, method.clone(), response);
        assert_eq!(observer.ends(), ["end complete"], "{method} {status}");
    }
}

#[test]
fn an_upgrade_ends_at_its_handshake_as_upgraded() {
    for (method, status, end) in [
        (Method::GET, StatusCode::SWITCHING_PROTOCOLS, "end upgraded"),
        (Method::CONNECT, StatusCode::OK, "end upgraded"),
        (Method::CONNECT, StatusCode::FORBIDDEN, "end aborted"),
    ] {
        let observer = RecordingObserver::default();
        let mut response = Response::new(ScriptedBody::new([Step::Data("ab")]));
        *response.status_mut() = status;
        drop(respond(&observer, method.clone(), response));
        assert_eq!(observer.ends(), [end], "{method} {status}");
    }
}
