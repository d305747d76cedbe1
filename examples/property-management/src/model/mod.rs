//! Calls to the language model. Each call has a span of the generative AI conventions, with a child
//! span for each attempt, and metrics of duration, tokens and outcome.

mod attempts;
mod error;
mod wire;

use std::{sync::Arc, time::Duration};

pub(crate) use error::ModelError;
use metrics::counter;
use reqwest::{Url, header::HeaderValue};
use reqwest_middleware::ClientWithMiddleware;
use tower_otel_propagate::Hosts;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    BoxError,
    config::Llm,
    instruments::{self, TokenType},
    layers::Layers,
    series::PROVIDER,
};
use wire::Completion;

const MAX_TOKENS: i64 = 300;

/// A client of the language model.
#[derive(Clone)]
pub(crate) struct Model(Arc<Inner>);

struct Inner {
    client: ClientWithMiddleware,
    url: Url,
    key: Option<HeaderValue>,
    /// Configured, so it can be a metric label.
    name: String,
    timeout: Duration,
}

impl Model {
    pub(crate) fn new(config: Llm, layers: Layers) -> Result<Self, BoxError> {
        let base = config.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/chat/completions"))?;
        let key = config.key.map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))?;
            value.set_sensitive(true);
            Ok::<_, BoxError>(value)
        });
        let key = key.transpose();
        Ok(Self(Arc::new(Inner {
            // The provider is an external service: it gets no trace context.
            client: layers.client(Hosts::default(), config.timeout)?,
            url,
            key: key.map_err(|_| "LLM_API_KEY: not a valid header value")?,
            name: config.model,
            timeout: config.timeout,
        })))
    }

    /// Returns the completion of a prompt. Neither prompt nor completion is recorded.
    pub(crate) async fn complete(&self, system: &str, prompt: &str) -> Result<String, ModelError> {
        let name = &self.0.name;
        let outcome = OutcomeCounter::new(name);
        let request = instruments::llm_request(PROVIDER, name.clone());
        let call = async {
            let body = wire::request(name, system, prompt, MAX_TOKENS);
            let result = attempts::send(&self.0, &body).await;
            match &result {
                Ok(completion) => {
                    completion.record();
                    for (token_type, count) in [
                        (TokenType::Input, completion.input_tokens),
                        (TokenType::Output, completion.output_tokens),
                    ] {
                        request.tokens(token_type, count.unwrap_or_default());
                    }
                }
                Err(error) => error.record(),
            }
            result
        };
        let result = call.instrument(self.span()).await;
        outcome.finish(result.as_ref().err().map_or("ok", ModelError::outcome));
        result.map(Completion::into_text)
    }

    /// Returns the span of a call. It declares all fields, because `tracing` drops undeclared ones.
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
            // The conventions have no attribute for the sum.
            llm.tokens_used = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(i64::from),
            error.r#type = Empty,
        )
    }
}

/// Counts a call when dropped, as `cancelled` unless `finish` set the outcome.
struct OutcomeCounter<'a> {
    model: &'a str,
    outcome: &'static str,
}

impl<'a> OutcomeCounter<'a> {
    fn new(model: &'a str) -> Self {
        let outcome = "cancelled";
        Self { model, outcome }
    }

    fn finish(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for OutcomeCounter<'_> {
    fn drop(&mut self) {
        let (model, outcome) = (self.model.to_owned(), self.outcome);
        counter!("llm_requests_total", "provider" => PROVIDER, "model" => model, "outcome" => outcome)
            .increment(1);
    }
}
