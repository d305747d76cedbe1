//! The layer of the recorder and tracing-opentelemetry export the same of random programs.
//!
//! What differs, and is left out of the programs or of the comparison:
//!
//! | | tracing-opentelemetry 0.34 | this crate |
//! |---|---|---|
//! | thread, module, busy and idle time | attributes by default | not recorded |
//! | a `u64` that fits in `i64` | text | integer |
//! | `otel.name` and `otel.kind`, recorded after the first entry | ignored | set |
//! | `otel.status_code` after `otel.status_description` | removes the description | keeps it |
//! | a status of a span that was not entered | the last one | the highest one |
//! | an error: its causes | arrays in `exception.stacktrace` and `{field}.chain` | lines in `exception.stacktrace` |
//! | an error in an event | also attributes of the span | attributes of the event |
//! | a text in the field `error` of an event | with quotes | without quotes |
//! | an event with a `dyn Error` and no message | has the name of its callsite | `exception` |
//! | an explicit parent that a filter hides | the span is a root span | a child of the next ancestor |
//! | events | of all levels | from `INFO` on, by default |
//! | links of `follows_from` and of the OpenTelemetry API | in the order of the calls | those of `follows_from` first |
//! | the sampler sees | fields until the first entry | fields of the creation |
//! | a child of a span that is not sampled gets a sampled parent | has all fields | has the fields recorded since then |
//! | a span that follows from itself | blocks for ever | a link |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod export;
mod program;
mod threads;

use proptest::prelude::*;

use crate::{
    export::{Exporter, Outcome},
    program::Program,
};

fn outcome(program: &Program, exporter: Exporter) -> Outcome {
    let running = exporter.start(program.filter);
    let seen = threads::run(program, &running);
    running.finish(seen)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_layers_export_the_same(program in program::programs()) {
        let ours = outcome(&program, Exporter::Recorder);
        let theirs = outcome(&program, Exporter::TracingOpenTelemetry);
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn random_programs_cover_what_is_compared() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut text = String::new();
    for _ in 0..100 {
        let program = program::programs().new_tree(&mut runner).unwrap().current();
        text += &format!("{:#?}", outcome(&program, Exporter::Recorder));
    }
    for part in [
        "parent: Some",
        "parent: None",
        "\"remote\"",
        "Error",
        "late=",
        "link to ",
        "event ",
        "set_parent: true",
        "set_parent: false",
        "renamed",
    ] {
        assert!(text.contains(part), "no program has {part}");
    }
}
