//! Every order, one claim after another.
//!
//! ```console
//! cargo test -p loom-models
//! ```

#![allow(missing_docs)]

use loom_models::models;

#[test]
fn a_series_is_made_once_and_seen_whole() {
    loom::model(models::a_series_is_made_once_and_seen_whole);
}

#[test]
fn the_table_takes_exactly_as_many_as_it_has_room_for() {
    loom::model(models::the_table_takes_exactly_as_many_as_it_has_room_for);
}

#[test]
fn of_those_who_are_refused_one_is_told_to_warn() {
    loom::model(models::one_of_them_is_told_to_warn);
}

#[test]
fn a_histogram_loses_no_sample_and_its_buckets_never_descend() {
    loom::model(models::a_histogram_loses_no_sample_and_its_buckets_never_descend);
}

#[test]
fn a_missing_context_is_warned_about_once() {
    loom::model(models::a_missing_context_is_warned_about_once);
}

#[test]
fn a_flush_exports_what_was_there_and_wakes_who_asked() {
    loom::model(models::a_flush_exports_what_was_there_and_wakes_who_asked);
}

#[test]
fn a_span_that_ends_at_the_shutdown_is_exported_or_counted() {
    loom::model(models::a_span_that_ends_at_the_shutdown_is_exported_or_counted);
}

#[test]
fn a_full_batch_is_not_left_to_the_delay() {
    loom::model(models::a_full_batch_is_not_left_to_the_delay);
}
