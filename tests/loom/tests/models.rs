//! Every order, one claim after another.
//!
//! ```console
//! cargo test -p loom-models
//! ```

#![allow(missing_docs)]

use loom_models::models;

#[test]
fn a_value_is_made_once_and_seen_complete() {
    loom::model(models::a_value_is_made_once_and_seen_complete);
}

#[test]
fn the_cache_takes_exactly_its_limit() {
    loom::model(models::the_cache_takes_exactly_its_limit);
}

#[test]
fn the_overflow_warning_is_logged_once() {
    loom::model(models::the_overflow_warning_is_logged_once);
}

#[test]
fn a_histogram_loses_no_sample_and_its_buckets_never_descend() {
    loom::model(models::a_histogram_loses_no_sample_and_its_buckets_never_descend);
}

#[test]
fn a_missing_context_is_told_once() {
    loom::model(models::a_missing_context_is_told_once);
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
