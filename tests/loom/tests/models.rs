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
fn a_missing_context_is_told_once() {
    loom::model(models::a_missing_context_is_told_once);
}
