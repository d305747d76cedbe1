//! Errors as log events.

use std::sync::{Arc, Mutex};

use http_body_util::Full;
use opentelemetry::{
    Context,
    trace::{SpanId, Status, TraceContextExt},
};
use suite_tests::{
    backend::Backend,
    net::BoxError,
    server::Server,
    table::{Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tower_otel_trace::TraceLayer;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::SubscriberExt};

#[tokio::test]
async fn errors_are_not_span_events_by_default() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        assert!(
            server
                .span_of("GET /status/500 HTTP/1.1")
                .await
                .events
                .is_empty()
        );
    }
}

/// The logged events, each with the current span.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Record>>>);

type Record = (SpanId, Vec<String>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Fields(Vec<String>);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0.push(format!("{field}={value:?}"));
            }
        }
        if event.metadata().target() == "tower_otel_trace" {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            let span = Context::current().span().span_context().span_id();
            self.0.lock().unwrap().push((span, fields.0));
        }
    }
}

#[tokio::test]
async fn an_exception_is_logged_once_inside_its_span_by_option() {
    #[derive(Debug)]
    struct Slow(std::io::Error);

    impl std::fmt::Display for Slow {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("too slow")
        }
    }

    impl std::error::Error for Slow {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let cause = std::io::Error::from(std::io::ErrorKind::TimedOut);
            let error: BoxError = Box::new(Slow(cause));
            Err::<http::Response<Full<bytes::Bytes>>, _>(error)
        });
        let layer = TraceLayer::server().exceptions();
        let address = backend.serve(&telemetry, layer, service).await;
        // Only the tracing backend needs the subscriber of the telemetry.
        let log = Log::default();
        let logged = tracing_subscriber::registry().with(log.clone());
        let guard =
            (!backend.opens_tracing_spans()).then(|| tracing::subscriber::set_default(logged));
        let server = Server::running_at(backend, telemetry, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        drop(guard);
        let records = match backend {
            Backend::Tracing | Backend::TracingRecorder | Backend::TracingRecord => span
                .events
                .events
                .iter()
                .map(|event| {
                    let fields = event.attributes.iter();
                    let fields = fields.map(|field| format!("{}={}", field.key, field.value));
                    fields
                        .filter(|field| field.starts_with("exception."))
                        .collect::<Vec<_>>()
                })
                .collect::<Vec<_>>(),
            Backend::Tracer | Backend::Recorder => log
                .0
                .lock()
                .unwrap()
                .iter()
                .map(|(current, fields)| {
                    assert_eq!(*current, span.span_context.span_id());
                    let fields = fields
                        .iter()
                        .filter(|field| field.starts_with("exception."));
                    fields
                        .map(|field| field.replace('"', "").replace("\\n", "\n"))
                        .collect()
                })
                .collect(),
        };
        let [fields] = records.as_slice() else {
            panic!("one record, not {records:#?}");
        };
        assert_eq!(fields[1], "exception.message=too slow");
        assert!(fields[0].starts_with("exception.type="), "{fields:?}");
        assert_eq!(fields[2], "exception.stacktrace=caused by: timed out\n");
        assert_span_attributes(&span, &[("error.type", Str("timeout"))]);
    }
}

#[tokio::test]
async fn an_error_whose_text_panics_is_recorded_and_returned() {
    #[derive(Debug)]
    struct Unprintable;

    impl std::fmt::Display for Unprintable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }

    impl std::error::Error for Unprintable {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&Unprintable)
        }
    }

    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let failing = tower::service_fn(async |_: http::Request<()>| {
            Err::<http::Response<Full<bytes::Bytes>>, BoxError>(Box::new(Unprintable))
        });
        let layer = backend.layer(telemetry.source(), TraceLayer::server().exceptions());
        let log = Log::default();
        let logged = tracing_subscriber::registry().with(log.clone());
        let _guard = tracing::subscriber::set_default(logged);
        let service = tower::Layer::layer(&layer, failing);
        let response = tower::ServiceExt::oneshot(service, http::Request::new(())).await;
        assert!(response.unwrap_err().is::<Unprintable>());
        let logged = format!("{:?}", log.0.lock().unwrap());
        let texts = logged.matches("<panicked while formatting>").count();
        assert_eq!(texts, 2, "message and causes: {logged}");
    }
}

#[tokio::test]
async fn an_error_whose_source_panics_is_classified_by_its_type() {
    #[derive(Debug)]
    struct Sourceless;

    impl std::fmt::Display for Sourceless {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }

    impl std::error::Error for Sourceless {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            panic!("no source")
        }
    }

    for layer in [TraceLayer::server, || TraceLayer::server().exceptions()] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let failing = tower::service_fn(async |_: http::Request<()>| {
                Err::<http::Response<Full<bytes::Bytes>>, BoxError>(Box::new(Sourceless))
            });
            let service = tower::ServiceBuilder::new()
                .layer(backend.layer(telemetry.source(), layer()))
                .layer(tower_otel_metrics::MetricsLayer::server())
                .service(failing);
            let response = tower::ServiceExt::oneshot(service, http::Request::new(())).await;
            assert!(response.unwrap_err().is::<Sourceless>());
            let spans = telemetry.spans();
            let [span] = spans.as_slice() else {
                panic!("one span, not {spans:#?}");
            };
            assert_span_attributes(span, &[("error.type", Str("_OTHER"))]);
            assert!(matches!(span.status, Status::Error { .. }));
            let labels = [("status", "error")];
            assert_eq!(telemetry.sum("http_requests_total", &labels), 1.0);
        }
    }
}
