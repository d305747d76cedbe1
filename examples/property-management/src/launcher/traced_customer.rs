//! A customer with a sampled trace through all services, including a job.

use std::time::Duration;

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tokio::time;
use tower_otel_propagate::Hosts;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::{
    BoxError,
    layers::Layers,
    traffic::{Customer, Pacer, ServiceUrls},
};

/// The time limit of the whole trace.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the customer. The trace is printed when its last span ends.
pub(super) async fn run(urls: &ServiceUrls, layers: Layers) -> Result<(), BoxError> {
    let client = layers.client(Hosts::new(["127.0.0.1"]), TIMEOUT)?;
    let pacer = Pacer::new(100, TIMEOUT);
    let mut customer = Customer::new(client, urls.clone(), pacer, 0);
    let customer = async {
        customer.sign_up().await?;
        let flat = customer.add_flat().await?;
        let span = sampled_span();
        let job = customer
            .describe_and_publish(&flat)
            .instrument(span.clone())
            .await?;
        while customer.job_state(&job).await?? != "done" {
            time::sleep(Duration::from_millis(50)).await;
        }
        // The exported end time is that of the last exit of the span.
        span.in_scope(|| ());
        Some(())
    };
    let result = time::timeout(TIMEOUT, customer).await;
    result.ok().flatten().ok_or("the services do not respond")?;
    Ok(())
}

/// Returns a span with a sampled remote parent.
fn sampled_span() -> Span {
    let (ids, flags) = (Uuid::now_v7(), TraceFlags::SAMPLED);
    let trace = TraceId::from_bytes(ids.into_bytes());
    let [.., a, b, c, d, e, f, g, h] = ids.into_bytes();
    let span = SpanId::from_bytes([a, b, c, d, e, f, g, h]);
    let remote = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    let parent = Context::new().with_remote_span_context(remote);
    let _parent = parent.attach();
    tracing::info_span!("a customer offers a flat")
}
