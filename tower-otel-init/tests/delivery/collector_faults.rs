//! A collector that is down or hangs blocks nothing.

use std::time::{Duration, Instant};

use collector::{Behavior, Collector, TIMEOUT, until};
use tower_otel_init::{MetricsExporter, Protocol};

use crate::service::{app, builder, current_thread, multi_thread, send_requests, start};

#[test]
fn requests_succeed_while_the_collector_is_down_and_spans_are_delivered_again_after() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let mut collector = Collector::start(http, Behavior::Accepts);
        let telemetry = start(
            builder(&collector, protocol)
                .queue_size(256)
                .batch_size(64)
                .schedule_delay(Duration::from_millis(5)),
        );
        let (app, runtime) = (app(&telemetry), multi_thread());
        send_requests(&runtime, &app, 200);
        collector.await_spans(1);

        collector.kill();
        let mut sent = 200;
        // Every request succeeds during the outage.
        until("a failed export", || {
            send_requests(&runtime, &app, 400);
            sent += 400;
            telemetry.dropped_spans().export_failed > 0
        });
        let before = collector.spans();

        collector.run(http, Behavior::Accepts);
        until("the collector's return", || {
            send_requests(&runtime, &app, 4);
            sent += 4;
            collector.spans() > before
        });
        let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
        // A batch is counted as dropped if the collector stored it and stopped before it responded.
        let known = collector.spans() + dropped.total() as usize;
        assert!(
            (sent..=sent + 64).contains(&known),
            "{protocol:?}: {known} of {sent}: {dropped:?}"
        );
    }
}

#[test]
fn a_drop_without_any_runtime_is_not_blocked_by_a_hanging_collector() {
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    let drop_time = |http, protocol| {
        let collector = Collector::start(http, Behavior::Hangs);
        let builder = builder(&collector, protocol).metrics(MetricsExporter::Otlp);
        #[cfg(feature = "logs")]
        let builder = builder.export_logs(true);
        let telemetry = start(builder);
        let tracer = telemetry.tracer_provider().unwrap().tracer("");
        tracer.start("job").end();
        let started = Instant::now();
        drop(telemetry);
        started.elapsed()
    };
    std::thread::scope(|scope| {
        let all = [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)]
            .map(|(http, protocol)| scope.spawn(move || drop_time(http, protocol)));
        for one in all {
            let elapsed = one.join().unwrap();
            // A drop times out after five seconds.
            assert!(elapsed < Duration::from_secs(9), "{elapsed:?}");
        }
    });
}

#[test]
fn a_hanging_collector_blocks_neither_requests_nor_shutdown() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        for runtime in [current_thread, multi_thread] {
            let collector = Collector::start(http, Behavior::Hangs);
            let telemetry = start(builder(&collector, protocol).queue_size(64).batch_size(32));
            let runtime = runtime();
            send_requests(&runtime, &app(&telemetry), 400);
            let started = Instant::now();
            let shutdown = async { telemetry.shutdown(Duration::from_millis(300)) };
            let dropped = runtime.block_on(shutdown).unwrap_err().dropped_spans;
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "{:?}",
                started.elapsed()
            );
            assert_eq!(dropped.total(), 400, "{dropped:?}");
        }
    }
}
