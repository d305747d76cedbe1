//! Runs each model in every order of its threads.
//!
//! ```console
//! cargo test -p loom-models
//! ```

#![allow(missing_docs)]

use loom_models::models;

#[test]
fn a_series_is_created_once_and_read_fully_initialized() {
    loom::model(models::a_series_is_created_once_and_read_fully_initialized);
}

#[test]
fn the_table_stores_as_many_series_as_its_limit() {
    loom::model(models::the_table_stores_as_many_series_as_its_limit);
}

#[test]
fn the_overflow_is_reported_once() {
    loom::model(models::the_overflow_is_reported_once);
}

#[test]
fn a_histogram_loses_no_sample_and_its_buckets_are_cumulative() {
    loom::model(models::a_histogram_loses_no_sample_and_its_buckets_are_cumulative);
}

#[test]
fn a_missing_context_is_logged_once() {
    loom::model(models::a_missing_context_is_logged_once);
}

#[test]
fn a_flush_exports_all_queued_spans_and_returns() {
    loom::model(models::a_flush_exports_all_queued_spans_and_returns);
}

#[test]
fn a_span_that_ends_during_shutdown_is_exported_or_counted() {
    loom::model(models::a_span_that_ends_during_shutdown_is_exported_or_counted);
}

#[test]
fn a_full_batch_is_exported_before_the_delay() {
    loom::model(models::a_full_batch_is_exported_before_the_delay);
}
