//! The warnings of a recorder. They are logged on its export thread, so the subscriber is global and there is one test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use http::{Request, Response};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_recorder::Recorder;
use tower_otel_trace::TraceLayer;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

const LONG: Duration = Duration::from_secs(20);

/// Stores the warnings of the recorder.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() == tracing::Level::WARN
            && metadata.target().starts_with("tower_otel_recorder")
        {
            let mut text = Text::default();
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// An exporter that fails while `fails` is set, and waits for a message before each export.
#[derive(Debug)]
struct Controlled {
    fails: Arc<AtomicBool>,
    started: mpsc::Sender<()>,
    permits: Mutex<mpsc::Receiver<()>>,
}

impl SpanExporter for Controlled {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        self.started.send(()).unwrap();
        self.permits.lock().unwrap().recv_timeout(LONG).unwrap();
        if self.fails.load(SeqCst) {
            let error = "error sending request for url (http://me:s3cr3t@collector:4318/)";
            return Err(OTelSdkError::InternalFailure(error.to_owned()));
        }
        Ok(())
    }
}

fn exchanges(recorder: &Recorder, count: usize) {
    for _ in 0..count {
        let service = service_fn(async |_: Request<String>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let service = TraceLayer::server().recorder(recorder).layer(service);
        let exchange = service.oneshot(Request::new(String::new()));
        assert!(futures_executor::block_on(exchange).is_ok());
    }
}

#[test]
fn drops_are_logged_once_and_so_is_each_change_of_the_exporter() {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let fails = Arc::new(AtomicBool::new(true));
    let (started, starts) = mpsc::channel();
    let (permit, permits) = mpsc::channel();
    let exporter = Controlled {
        fails: Arc::clone(&fails),
        started,
        permits: Mutex::new(permits),
    };
    let builder = Recorder::builder(exporter).queue_size(4).batch_size(4);
    let recorder = builder.delay(Duration::from_secs(3600)).build().unwrap();

    // Two failures are logged once, without the password.
    for _ in 0..2 {
        permit.send(()).unwrap();
        exchanges(&recorder, 1);
        recorder.flush(LONG).unwrap_err();
    }
    let logged = warnings.take();
    assert_eq!(logged.len(), 1, "{logged:#?}");
    assert!(logged[0].contains("cannot export spans"), "{logged:#?}");
    assert!(logged[0].contains("http://collector:4318/"), "{logged:#?}");
    assert!(!logged[0].contains("s3cr3t"), "{logged:#?}");

    // Two successes are logged once.
    fails.store(false, SeqCst);
    for _ in 0..2 {
        permit.send(()).unwrap();
        exchanges(&recorder, 1);
        recorder.flush(LONG).unwrap();
    }
    let logged = warnings.take();
    assert_eq!(logged.len(), 1, "{logged:#?}");
    assert!(logged[0].contains("exports spans again"), "{logged:#?}");

    // Dropped spans are logged once, in two rounds.
    for _ in 0..2 {
        while starts.try_recv().is_ok() {}
        exchanges(&recorder, 4);
        starts.recv_timeout(LONG).unwrap();
        exchanges(&recorder, 6);
        permit.send(()).unwrap();
        permit.send(()).unwrap();
        recorder.flush(LONG).unwrap();
    }
    let logged = warnings.take();
    assert_eq!(logged.len(), 1, "{logged:#?}");
    assert!(
        logged[0].contains("the recorder's queue was full"),
        "{logged:#?}"
    );
    let counts = recorder.counts();
    assert_eq!((counts.exported, counts.failed, counts.dropped), (18, 2, 4));

    // The end of the drops is logged.
    let (started, starts) = mpsc::channel();
    let (permit, permits) = mpsc::channel();
    let exporter = Controlled {
        fails,
        started,
        permits: Mutex::new(permits),
    };
    let builder = Recorder::builder(exporter).queue_size(4).batch_size(4);
    let recorder = builder.delay(Duration::from_millis(5)).build().unwrap();
    exchanges(&recorder, 1);
    starts.recv_timeout(LONG).unwrap();
    exchanges(&recorder, 6);
    for _ in 0..7 {
        permit.send(()).unwrap();
    }
    let (mut logged, waiting) = (Vec::new(), Instant::now());
    while logged.len() < 2 {
        assert!(waiting.elapsed() < LONG, "{logged:#?}");
        logged.extend(warnings.take());
        thread::yield_now();
    }
    assert!(logged[0].contains("queue was full"), "{logged:#?}");
    assert!(logged[1].contains("queue has room again"), "{logged:#?}");
}
