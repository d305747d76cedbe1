//! A body ends once: read to its end, failed or dropped.

use http::{Method, Response};

use crate::{
    exchange::{ends_after_reading, frames, respond},
    recording_observer::RecordingObserver,
    scripted_body::{ScriptedBody, Step},
};

#[test]
fn a_body_read_to_none_is_complete() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]);
    assert_eq!(ends_after_reading(scripted, usize::MAX), ["end complete"]);
}

#[test]
fn a_body_with_end_stream_is_complete_at_its_last_frame() {
    let observer = RecordingObserver::default();
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]).with_end_stream();
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    assert_eq!(frames(&mut body, 1), 1);
    assert!(observer.ends().is_empty(), "one frame is left");
    assert_eq!(frames(&mut body, 1), 1);
    assert_eq!(observer.ends(), ["end complete"], "before another poll");
    assert_eq!(frames(&mut body, 1), 0);
    drop(body);
    assert_eq!(observer.ends(), ["end complete"], "and only once");
}

#[test]
fn trailers_end_the_body_and_are_passed_to_the_observer() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Trailers]);
    assert_eq!(
        ends_after_reading(scripted, 2),
        ["end complete with trailers"]
    );
}

#[test]
fn a_body_error_is_recorded_once_as_a_failure() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Error, Step::Error]);
    assert_eq!(
        ends_after_reading(scripted, usize::MAX),
        ["end failed: broken"]
    );
}

#[test]
fn a_body_dropped_unread_is_aborted() {
    assert_eq!(
        ends_after_reading(ScriptedBody::new([Step::Data("ab")]), 0),
        ["end aborted"]
    );
}

#[test]
fn a_body_dropped_before_its_last_frame_is_aborted() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Data("c")]).exactly(3);
    assert_eq!(ends_after_reading(scripted, 1), ["end aborted"]);
}

#[test]
fn a_body_of_unknown_length_dropped_before_none_is_aborted() {
    assert_eq!(
        ends_after_reading(ScriptedBody::new([Step::Data("ab")]), 1),
        ["end aborted"]
    );
}

#[test]
fn a_body_dropped_while_pending_is_aborted() {
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Pending]);
    assert_eq!(ends_after_reading(scripted, usize::MAX), ["end aborted"]);
}
