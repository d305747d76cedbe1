//! What a recorder says of spans that are lost. It says so on its own thread, and this subscriber is
//! the whole process's: hence one test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use http::{Request, Response};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_trace::{Recorder, TraceLayer};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

const SOON: Duration = Duration::from_secs(20);

/// Keeps the warnings of this crate.
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
            && metadata.target().starts_with("tower_otel_trace")
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

/// Fails as long as it is told to, and does not begin before it is let.
#[derive(Debug)]
struct Moody {
    fails: Arc<AtomicBool>,
    entered: mpsc::Sender<()>,
    door: Mutex<mpsc::Receiver<()>>,
}

impl SpanExporter for Moody {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        self.entered.send(()).unwrap();
        self.door.lock().unwrap().recv_timeout(SOON).unwrap();
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
fn losses_are_told_once_and_each_change_of_the_exporter_is_told() {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let fails = Arc::new(AtomicBool::new(true));
    let (entered, entries) = mpsc::channel();
    let (opened, door) = mpsc::channel();
    let exporter = Moody {
        fails: Arc::clone(&fails),
        entered,
        door: Mutex::new(door),
    };
    let builder = Recorder::builder(exporter).queue_size(4).batch_size(4);
    let recorder = builder.delay(Duration::from_secs(3600)).build().unwrap();

    // Twice it fails, which is told once, and without the password.
    for _ in 0..2 {
        opened.send(()).unwrap();
        exchanges(&recorder, 1);
        recorder.flush(SOON).unwrap_err();
    }
    let told = warnings.take();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("cannot export spans"), "{told:#?}");
    assert!(told[0].contains("http://collector:4318/"), "{told:#?}");
    assert!(!told[0].contains("s3cr3t"), "{told:#?}");

    // Twice it is well, which is told once.
    fails.store(false, SeqCst);
    for _ in 0..2 {
        opened.send(()).unwrap();
        exchanges(&recorder, 1);
        recorder.flush(SOON).unwrap();
    }
    let told = warnings.take();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("exports spans again"), "{told:#?}");

    // Twice it is too slow for what comes, which is told once and for all.
    for _ in 0..2 {
        while entries.try_recv().is_ok() {}
        exchanges(&recorder, 4);
        entries.recv_timeout(SOON).unwrap();
        exchanges(&recorder, 6);
        opened.send(()).unwrap();
        opened.send(()).unwrap();
        recorder.flush(SOON).unwrap();
    }
    let told = warnings.take();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("the recorder's queue was full"),
        "{told:#?}"
    );
    let tally = recorder.tally();
    assert_eq!((tally.exported, tally.failed, tally.dropped), (18, 2, 4));
}
