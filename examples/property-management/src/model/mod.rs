//! The language model: one call, as its caller sees it. It has a span by the conventions for
//! generative AI, a duration, tokens and an outcome; below it every attempt is a span of its own.

mod attempts;
mod error;
mod wire;

use std::{sync::Arc, time::Duration};

pub(crate) use error::ModelError;
use metrics::counter;
use reqwest::{Url, header::HeaderValue};
use reqwest_middleware::ClientWithMiddleware;
use tower_otel_core::Hosts;

use tracing::{Instrument, Span, field::Empty};

use crate::{
    BoxError,
    config::Llm,
    instruments::{self, TokenType},
    metrics::PROVIDER,
    observed,
};
use wire::Completion;

const MAX_TOKENS: i64 = 300;

/// A model somewhere.
#[derive(Clone)]
pub(crate) struct Model(Arc<Inner>);

struct Inner {
    client: ClientWithMiddleware,
    url: Url,
    key: Option<HeaderValue>,
    /// From the configuration, and so fit to be a label.
    name: String,
    timeout: Duration,
}

impl Model {
    pub(crate) fn new(config: Llm) -> Result<Self, BoxError> {
        let base = config.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/chat/completions"))?;
        let key = config.key.map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))?;
            value.set_sensitive(true);
            Ok::<_, BoxError>(value)
        });
        let key = key.transpose();
        Ok(Self(Arc::new(Inner {
            // The provider is a stranger, and is told nothing of our traces.
            client: observed::client(Hosts::none(), config.timeout)?,
            url,
            key: key.map_err(|_| "LLM_API_KEY is not fit for a header")?,
            name: config.model,
            timeout: config.timeout,
        })))
    }

    /// What the model answers. Neither the question nor the answer is recorded anywhere.
    pub(crate) async fn ask(&self, system: &str, question: &str) -> Result<String, ModelError> {
        let name = &self.0.name;
        let outcome = Outcome::of(name);
        let request = instruments::llm_request(PROVIDER, name.clone());
        let asking = async {
            let body = wire::request(name, system, question, MAX_TOKENS);
            let answered = attempts::send(&self.0, &body).await;
            match &answered {
                Ok(completion) => {
                    completion.record();
                    for (of, count) in [
                        (TokenType::Input, completion.input_tokens),
                        (TokenType::Output, completion.output_tokens),
                    ] {
                        request.tokens(of, count.unwrap_or_default());
                    }
                }
                Err(error) => error.record(),
            }
            answered
        };
        let answered = asking.instrument(self.span()).await;
        outcome.is(answered.as_ref().err().map_or("ok", ModelError::outcome));
        answered.map(Completion::into_text)
    }

    /// All fields have to be declared here: `tracing` drops what a span did not declare.
    fn span(&self) -> Span {
        let Inner { url, name, .. } = &*self.0;
        tracing::info_span!(
            "model",
            otel.name = format!("chat {name}"),
            otel.kind = "client",
            otel.status_code = Empty,
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = PROVIDER,
            gen_ai.request.model = name.as_str(),
            gen_ai.request.max_tokens = MAX_TOKENS,
            gen_ai.response.model = Empty,
            gen_ai.response.id = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(i64::from),
            error.r#type = Empty,
        )
    }
}

/// Counts a call when it ends, and it ends as `cancelled` unless somebody knows better.
struct Outcome<'a> {
    model: &'a str,
    outcome: &'static str,
}

impl<'a> Outcome<'a> {
    fn of(model: &'a str) -> Self {
        let outcome = "cancelled";
        Self { model, outcome }
    }

    fn is(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        let (model, outcome) = (self.model.to_owned(), self.outcome);
        counter!("llm_requests_total", "provider" => PROVIDER, "model" => model, "outcome" => outcome)
            .increment(1);
    }
}
