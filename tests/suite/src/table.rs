//! The table that the conventions are checked with: a request, and what its span has to say. Every
//! row is asked of every kind of spans.

use std::{fmt::Display, net::SocketAddr};

use axum::Router;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;
use tower::{Layer, Service, ServiceExt};
use tower_otel_trace::TraceLayer;

use crate::{
    backend::Backend,
    net::{BoxError, serve},
    telemetry::TestTelemetry,
};

/// What a span has to say under a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected<'a> {
    Str(&'a str),
    Int(i64),
    List(&'a [&'a str]),
    Absent,
}

pub use Expected::{Absent, Int, List, Str};

/// A key, and what has to be said under it.
pub type Row<'a> = (&'a str, Expected<'a>);

impl Backend {
    /// A router with the layer on its routes.
    pub fn layer_router(
        self,
        telemetry: &TestTelemetry,
        layer: TraceLayer,
        router: Router,
    ) -> Router {
        router.layer(self.layer(telemetry.source(), layer))
    }

    /// Serves a whole service behind the layer.
    pub async fn serve<S, B>(
        self,
        telemetry: &TestTelemetry,
        layer: TraceLayer,
        service: S,
    ) -> SocketAddr
    where
        S: Service<Request<Incoming>, Response = Response<B>, Future: Send>,
        S: Clone + Send + 'static,
        S::Error: Into<BoxError> + Display + 'static,
        B: Body<Data: Send, Error: Into<BoxError> + Display + 'static> + Send + 'static,
    {
        serve(self.layer(telemetry.source(), layer).layer(service)).await
    }

    /// Sends a request through the layer and reads the response to its end.
    pub async fn send<S, Q, B>(
        self,
        telemetry: &TestTelemetry,
        layer: TraceLayer,
        client: S,
        request: Request<Q>,
    ) -> Result<StatusCode, S::Error>
    where
        S: Service<Request<Q>, Response = Response<B>, Error: Display + 'static>,
        B: Body<Error: Display + 'static> + 'static,
    {
        let client = self.layer(telemetry.source(), layer).layer(client);
        read(client.oneshot(request).await?).await
    }

    /// The same with reqwest.
    pub async fn send_reqwest(
        self,
        telemetry: &TestTelemetry,
        layer: TraceLayer,
        client: reqwest::Client,
        request: reqwest::Request,
    ) -> reqwest::Result<StatusCode> {
        let client = self.layer(telemetry.source(), layer).layer(client);
        let response = client.oneshot(request).await?;
        let status = response.status();
        response.bytes().await?;
        Ok(status)
    }
}

async fn read<B: Body, E>(response: Response<B>) -> Result<StatusCode, E> {
    let status = response.status();
    // A body may fail; that is for the span to tell.
    let _ = response
        .into_body()
        .collect()
        .await
        .map(Collected::to_bytes);
    Ok(status)
}

/// Asks every row of a span, and says which one is wrong.
pub fn assert_span_attributes(span: &SpanData, rows: &[Row<'_>]) {
    assert_attributes(&span.attributes, rows);
}

/// Asks every row of attributes, wherever they were seen.
pub fn assert_attributes(attributes: &[KeyValue], rows: &[Row<'_>]) {
    for (key, expected) in rows {
        let told: Vec<&Value> = attributes
            .iter()
            .filter(|attribute| attribute.key.as_str() == *key)
            .map(|attribute| &attribute.value)
            .collect();
        let is = match (told.as_slice(), expected) {
            ([], Absent) => true,
            ([Value::String(told)], Str(text)) => told.as_str() == *text,
            ([Value::I64(told)], Int(number)) => told == number,
            ([Value::Array(Array::String(told))], List(texts)) => told
                .iter()
                .map(|text| text.as_str())
                .eq(texts.iter().copied()),
            _ => false,
        };
        assert!(is, "{key}: {expected:?}, not {told:?}, in {attributes:#?}");
    }
}
