//! Requests to language models.

use metrics::{Label, SharedString};

use super::{LLM_REQUEST_DURATION, LLM_TOKENS, Timer};

/// The label `type` of a token count, as in the conventions'
/// [`gen_ai.token.type`](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/).
#[derive(Clone, Copy)]
pub(crate) enum TokenType {
    /// Tokens of the prompt: `input`.
    Input,
    /// Tokens of the completion: `output`.
    Output,
}

impl TokenType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A request to a model, timed until it is dropped.
#[must_use = "a request that is dropped immediately measures nothing"]
pub(crate) struct LlmRequest {
    provider: &'static str,
    model: SharedString,
    _timer: Timer,
}

/// Times a request to a model until the guard is dropped. The model's name is a label, so it must come from the
/// configuration, not from a request.
pub(crate) fn llm_request(provider: &'static str, model: impl Into<SharedString>) -> LlmRequest {
    let model = model.into();
    let labels = labels(provider, model.clone());
    LlmRequest {
        provider,
        model,
        _timer: Timer::start(LLM_REQUEST_DURATION, labels),
    }
}

impl LlmRequest {
    /// Counts tokens of this request.
    pub(crate) fn tokens(&self, token_type: TokenType, count: u64) {
        let mut labels = labels(self.provider, self.model.clone());
        labels.push(Label::from_static_parts("type", token_type.as_str()));
        metrics::counter!(LLM_TOKENS, labels).increment(count);
    }
}

fn labels(provider: &'static str, model: SharedString) -> Vec<Label> {
    vec![
        Label::from_static_parts("provider", provider),
        Label::new("model", model),
    ]
}
