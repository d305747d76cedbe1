//! The texts of a value, with secrets in it.

use std::fmt::{Debug, Display};

use http::{Request, header};
use http_body_util::Empty;
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    trace::{Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SdkTracerProvider;

/// The marker in every value that may be a secret: headers, queries, user information, certificates, keys, bodies,
/// messages of errors and panics, baggage, labels, attributes.
pub(crate) const SECRET: &str = "c4n4ry";

/// The marker in values that may be shown: names, hosts, routes, paths, methods, attributes of resources and scopes.
pub(crate) const ALLOWED: &str = "4ll0wed";

/// The texts of a value of each type.
#[derive(Default)]
pub(crate) struct Texts(pub(crate) Vec<(&'static str, String)>);

impl Texts {
    pub(crate) fn debug(&mut self, name: &'static str, value: &dyn Debug) {
        self.0.push((name, format!("{value:?} {value:#?}")));
    }

    pub(crate) fn both(&mut self, name: &'static str, value: &(impl Debug + Display)) {
        self.debug(name, value);
        self.0.push((name, value.to_string()));
    }
}

pub(crate) fn secret(place: &str) -> String {
    format!("{SECRET}-{place}")
}

pub(crate) fn allowed(place: &str) -> String {
    format!("{ALLOWED}-{place}")
}

/// A request with secrets in headers, query and user information.
pub(crate) fn request() -> Request<Empty<&'static [u8]>> {
    let uri = "http://c4n4ry:c4n4ry@4ll0wed.example/4ll0wed?token=c4n4ry";
    Request::get(uri)
        .header(header::AUTHORIZATION, "Bearer c4n4ry")
        .header(header::COOKIE, "c4n4ry")
        .header("x-4ll0wed", "c4n4ry")
        .header("baggage", "c4n4ry=c4n4ry")
        .body(Empty::new())
        .unwrap()
}

/// A context with a secret in baggage, attributes and the status of its span.
pub(crate) fn context() -> Context {
    let provider = SdkTracerProvider::builder().build();
    let mut span = provider.tracer("test").start(allowed("span"));
    opentelemetry::trace::Span::set_attribute(&mut span, KeyValue::new("a", secret("attribute")));
    opentelemetry::trace::Span::set_status(&mut span, Status::error(secret("status")));
    let context = Context::new().with_baggage([KeyValue::new("user", secret("baggage"))]);
    context.with_span(span)
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}
