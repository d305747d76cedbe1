//! Tables of requests and the attributes that their spans must have, with every span backend.

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

/// The expected value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected<'a> {
    Str(&'a str),
    Int(i64),
    List(&'a [&'a str]),
    Absent,
}

pub use Expected::{Absent, Int, List, Str};

/// A key and its expected value.
pub type Row<'a> = (&'a str, Expected<'a>);

impl Backend {
    /// Returns a router with the layer on its routes.
    pub fn layer_router(
        self,
        telemetry: &TestTelemetry,
        layer: TraceLayer,
        router: Router,
    ) -> Router {
        router.layer(self.layer(telemetry.source(), layer))
    }

    /// Serves a service behind the layer.
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

    /// Sends a request through the layer with reqwest and reads the response to its end.
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
    // Tests check a failed body by its span.
    let _ = response
        .into_body()
        .collect()
        .await
        .map(Collected::to_bytes);
    Ok(status)
}

/// Returns the two sides of each line of a table, `left => right`.
pub fn lines(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| {
        let sides = line.split_once(" => ");
        let (left, right) = sides.unwrap_or_else(|| panic!("no \" => \" in {line:?}"));
        (left.trim_end(), right.trim_start())
    })
}

/// Returns the rows of a text, such as `url.path=/a | server.port=80 | url.query=-`. The value `-` is absent.
pub fn rows(text: &str) -> Vec<Row<'_>> {
    let texts = text.split(" | ");
    texts
        .map(|text| row(text).unwrap_or_else(|| panic!("not an attribute: {text:?}")))
        .collect()
}

fn row(text: &str) -> Option<Row<'_>> {
    let (key, value) = text.split_once('=')?;
    let numbers = [".port", ".size", "_count", "http.response.status_code"];
    let expected = match value {
        "-" => Absent,
        number if numbers.iter().any(|end| key.ends_with(end)) => Int(number.parse().ok()?),
        text => Str(text),
    };
    Some((key, expected))
}

/// Checks the attributes of a span.
pub fn assert_span_attributes(span: &SpanData, rows: &[Row<'_>]) {
    assert_attributes(&span.attributes, rows);
}

/// Checks a list of attributes.
pub fn assert_attributes(attributes: &[KeyValue], rows: &[Row<'_>]) {
    for (key, expected) in rows {
        let values: Vec<&Value> = attributes
            .iter()
            .filter(|attribute| attribute.key.as_str() == *key)
            .map(|attribute| &attribute.value)
            .collect();
        let matches = match (values.as_slice(), expected) {
            ([], Absent) => true,
            ([Value::String(value)], Str(text)) => value.as_str() == *text,
            ([Value::I64(value)], Int(number)) => value == number,
            ([Value::Array(Array::String(value))], List(texts)) => value
                .iter()
                .map(|text| text.as_str())
                .eq(texts.iter().copied()),
            _ => false,
        };
        assert!(
            matches,
            "{key}: {expected:?}, not {values:?}, in {attributes:#?}"
        );
    }
}
