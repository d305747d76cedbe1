//! Runs each model in every order of its threads.
//!
//! ```console
//! cargo test -p loom-models
//! ```

#![allow(missing_docs)]

use loom_models::models;

/// Checks every order with at most two preemptions, because all orders of these models would take hours.
fn bounded(model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn a_value_is_made_once_and_seen_complete() {
    loom::model(models::a_value_is_made_once_and_seen_complete);
}

#[test]
fn the_cache_takes_exactly_its_limit() {
    loom::model(models::the_cache_takes_exactly_its_limit);
}

#[test]
fn a_key_that_two_threads_insert_counts_once_in_its_share() {
    loom::model(models::a_key_that_two_threads_insert_counts_once_in_its_share);
}

#[test]
fn the_overflow_warning_is_logged_once() {
    loom::model(models::the_overflow_warning_is_logged_once);
}

#[test]
fn a_histogram_loses_no_sample_and_its_buckets_are_cumulative() {
    bounded(models::a_histogram_loses_no_sample_and_its_buckets_are_cumulative);
}

#[test]
fn a_scrape_contains_the_samples_before_the_last_one() {
    loom::model(models::a_scrape_contains_the_samples_before_the_last_one);
}

#[test]
fn a_counter_loses_no_increment_when_threads_end() {
    bounded(models::a_counter_loses_no_increment_when_threads_end);
}

#[test]
fn threads_without_cells_lose_no_increment() {
    bounded(models::threads_without_cells_lose_no_increment);
}

#[test]
fn an_absolute_value_is_before_or_after_a_concurrent_increment() {
    bounded(models::an_absolute_value_is_before_or_after_a_concurrent_increment);
}

#[test]
fn a_gauge_is_not_negative_when_a_request_changes_its_thread() {
    bounded(models::a_gauge_is_not_negative_when_a_request_changes_its_thread);
}

#[test]
fn a_gauge_counts_no_more_requests_than_were_in_flight_at_once() {
    bounded(models::a_gauge_counts_no_more_requests_than_were_in_flight_at_once);
}

#[test]
fn a_gauge_is_set_before_or_after_a_concurrent_change() {
    bounded(models::a_gauge_is_set_before_or_after_a_concurrent_change);
}

#[test]
fn an_exemplar_is_whole_and_the_slot_is_due_again_after_a_scrape() {
    loom::model(models::an_exemplar_is_whole_and_the_slot_is_due_again_after_a_scrape);
}

#[test]
fn a_missing_context_is_warned_about_once() {
    loom::model(models::a_missing_context_is_warned_about_once);
}

#[test]
fn a_flush_exports_queued_spans_and_wakes_the_caller() {
    bounded(models::a_flush_exports_queued_spans_and_wakes_the_caller);
}

#[test]
fn a_span_that_ends_during_the_shutdown_is_exported_or_counted() {
    bounded(models::a_span_that_ends_during_the_shutdown_is_exported_or_counted);
}

#[test]
fn a_new_buffer_during_the_shutdown_is_emptied_or_refuses() {
    loom::model(models::a_new_buffer_during_the_shutdown_is_emptied_or_refuses);
}

#[test]
fn a_full_batch_is_exported_before_the_delay_is_over() {
    bounded(models::a_full_batch_is_exported_before_the_delay_is_over);
}

#[test]
fn a_pooled_record_is_taken_once() {
    loom::model(models::a_pooled_record_is_taken_once);
}

#[test]
fn two_shutdowns_both_wait_for_the_export() {
    bounded(models::two_shutdowns_both_wait_for_the_export);
}

#[test]
fn a_change_during_the_end_is_exported_or_has_no_effect() {
    loom::model(models::a_change_during_the_end_is_exported_or_has_no_effect);
}

#[test]
fn a_change_during_the_end_does_not_reach_the_next_span() {
    loom::model(models::a_change_during_the_end_does_not_reach_the_next_span);
}

#[test]
fn the_first_change_during_the_end_of_a_held_span_keeps_no_bytes() {
    loom::model(models::the_first_change_during_the_end_of_a_held_span_keeps_no_bytes);
}

#[test]
fn another_change_during_the_end_of_a_held_span_keeps_no_bytes() {
    loom::model(models::another_change_during_the_end_of_a_held_span_keeps_no_bytes);
}

#[test]
fn the_bytes_of_the_queue_hold_for_two_threads() {
    loom::model(models::the_bytes_of_the_queue_hold_for_two_threads);
}

#[test]
fn bytes_that_a_thread_has_not_used_are_free_after_the_queue_is_emptied() {
    loom::model(models::bytes_that_a_thread_has_not_used_are_free_after_the_queue_is_emptied);
}

#[test]
fn a_child_that_ends_with_its_root_is_exported_once() {
    loom::model(models::a_child_that_ends_with_its_root_is_exported_once);
}

#[test]
fn a_trace_with_too_many_excluded_spans_records_no_children() {
    loom::model(models::a_trace_with_too_many_excluded_spans_records_no_children);
}

#[test]
fn the_limit_of_a_second_holds_for_all_threads() {
    loom::model(models::the_limit_of_a_second_holds_for_all_threads);
}

#[test]
fn the_bytes_of_held_spans_are_bounded() {
    loom::model(models::the_bytes_of_held_spans_are_bounded);
}

#[test]
fn no_bytes_are_lost_while_unused_ones_are_freed() {
    loom::model(models::no_bytes_are_lost_while_unused_ones_are_freed);
}

#[test]
fn the_bytes_of_a_trace_are_bounded() {
    loom::model(models::the_bytes_of_a_trace_are_bounded);
}

#[test]
fn the_bytes_of_a_root_are_freed_once() {
    loom::model(models::the_bytes_of_a_root_are_freed_once);
}

#[test]
fn a_span_in_the_table_is_found_until_its_place_is_freed() {
    loom::model(models::a_span_in_the_table_is_found_until_its_place_is_freed);
}

#[test]
fn a_child_on_another_thread_finds_its_parent() {
    loom::model(models::a_child_on_another_thread_finds_its_parent);
}
