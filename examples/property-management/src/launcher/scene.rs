//! One customer, watched: a trace through all services, and the job that came of it.

use std::time::Duration;

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tokio::time;
use tower_otel_core::Hosts;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::{
    BoxError, observed,
    traffic::{Customer, Pace, Places},
};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The trace is printed when its last span has ended, which is that of the customer.
pub(super) async fn play(places: &Places) -> Result<(), BoxError> {
    let client = observed::client(Hosts::new(["127.0.0.1"]), PATIENCE)?;
    let pace = Pace::new(100, PATIENCE);
    let mut customer = Customer::new(client, places.clone(), pace, 0);
    let playing = async {
        customer.sign_up().await?;
        let flat = customer.add_flat().await?;
        let span = watched();
        let job = customer.offer(&flat).instrument(span.clone()).await?;
        while customer.job(&job).await?? != "done" {
            time::sleep(Duration::from_millis(50)).await;
        }
        // A span ends, as it is exported, when it was last left.
        span.in_scope(|| ());
        Some(())
    };
    let played = time::timeout(PATIENCE, playing).await;
    played.ok().flatten().ok_or("the services do not answer")?;
    Ok(())
}

/// A span that is recorded, as the child of one that was recorded elsewhere.
fn watched() -> Span {
    let (ids, flags) = (Uuid::now_v7(), TraceFlags::SAMPLED);
    let trace = TraceId::from_bytes(ids.into_bytes());
    let [.., a, b, c, d, e, f, g, h] = ids.into_bytes();
    let elsewhere = SpanId::from_bytes([a, b, c, d, e, f, g, h]);
    let elsewhere = SpanContext::new(trace, elsewhere, flags, true, TraceState::NONE);
    let parent = Context::new().with_remote_span_context(elsewhere);
    let _parent = parent.attach();
    tracing::info_span!("a customer offers a flat")
}
