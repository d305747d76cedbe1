//! The announced length of a body decides whether it is complete.

use http::{HeaderValue, Method, Response, header};

use crate::{
    exchange::{ends_after_reading, frames, respond},
    recording_observer::RecordingObserver,
    scripted_body::{ScriptedBody, Step},
};

#[test]
fn a_body_of_exact_size_that_is_never_polled_past_its_last_byte_is_complete() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]).exactly(3);
    assert_eq!(ends_after_reading(scripted, 2), ["end complete"]);
}

#[test]
fn trailers_are_read_after_all_bytes_of_an_exact_size() {
    let scripted = ScriptedBody::new([Step::Data("abc"), Step::Trailers]).exactly(3);
    assert_eq!(
        ends_after_reading(scripted, 2),
        ["end complete with trailers"]
    );
}

#[test]
fn a_body_is_complete_after_all_bytes_of_its_content_length() {
    let scripted = ScriptedBody::new([Step::Data("abc")]);
    assert_eq!(ends_with_content_length(scripted, 1), ["end complete"]);
}

/// Responds with a `Content-Length` of 3 and this body, reads `frames_read` frames of it, drops it and returns the ends.
fn ends_with_content_length(scripted: ScriptedBody, frames_read: usize) -> Vec<String> {
    let observer = RecordingObserver::default();
    let mut response = Response::new(scripted);
    let length = HeaderValue::from_static("3");
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    let mut body = Box::pin(respond(&observer, Method::GET, response).into_body());
    frames(&mut body, frames_read);
    drop(body);
    observer.ends()
}

#[test]
fn a_body_that_is_shorter_than_its_announced_length_fails() {
    let failed = ["end failed: the body ended before its announced length"];
    for steps in [
        || vec![],
        || vec![Step::Data("ab")],
        || vec![Step::Data("a"), Step::Data("b")],
        || vec![Step::Data("ab"), Step::Trailers],
    ] {
        assert_eq!(
            ends_with_content_length(ScriptedBody::new(steps()), usize::MAX),
            failed
        );
        let exact = ScriptedBody::new(steps()).exactly(3);
        assert_eq!(ends_after_reading(exact, usize::MAX), failed);
    }
    let last = ScriptedBody::new([Step::Data("ab")]).with_end_stream();
    assert_eq!(ends_with_content_length(last, usize::MAX), failed);
}

#[test]
fn a_short_body_ends_with_the_status_of_a_grpc_call_that_has_failed() {
    let steps = || [Step::Data("ab"), Step::FailedCall];
    let complete = ["end complete with trailers"];
    assert_eq!(
        ends_with_content_length(ScriptedBody::new(steps()), usize::MAX),
        complete
    );
    let exact = ScriptedBody::new(steps()).exactly(3);
    assert_eq!(ends_after_reading(exact, usize::MAX), complete);
}

#[test]
fn a_body_with_its_announced_length_or_more_is_complete() {
    for steps in [
        vec![Step::Data("abc")],
        vec![Step::Data("ab"), Step::Data("c")],
        vec![Step::Data("abcd")],
    ] {
        assert_eq!(
            ends_with_content_length(ScriptedBody::new(steps), usize::MAX),
            ["end complete"]
        );
    }
    let trailers = ScriptedBody::new([Step::Data("abc"), Step::Trailers]);
    assert_eq!(
        ends_with_content_length(trailers, usize::MAX),
        ["end complete with trailers"]
    );
}
