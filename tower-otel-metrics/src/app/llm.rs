//! Requests to language models.

use metrics::{Label, SharedString};

use super::{LLM_REQUEST_DURATION, LLM_TOKENS, Timer, describe_once};

/// Which tokens are counted: the label `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// Tokens of the prompt: `input`.
    Input,
    /// Tokens of the completion: `output`.
    Output,
}

impl TokenType {
    /// The value of the label, as in the conventions'
    /// [`gen_ai.token.type`](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A request to a model, timed until it is dropped.
#[derive(Debug)]
#[must_use = "a request that is dropped at once has taken no time"]
pub struct LlmRequest {
    provider: &'static str,
    model: SharedString,
    _timer: Timer,
}

/// Times a request to a model: `llm_request_duration_seconds{provider,model}`, in seconds, until
/// it is dropped. For a stream, keep it beside the stream.
pub fn llm_request(provider: &'static str, model: impl Into<SharedString>) -> LlmRequest {
    let model = model.into();
    let labels = labels(provider, model.clone());
    LlmRequest {
        provider,
        model,
        _timer: Timer::start(LLM_REQUEST_DURATION, labels),
    }
}

impl LlmRequest {
    /// Counts tokens of this request: `llm_tokens_total{provider,model,type}`.
    pub fn tokens(&self, of: TokenType, count: u64) {
        llm_tokens(self.provider, self.model.clone(), of, count);
    }
}

/// Counts tokens: `llm_tokens_total{provider,model,type}`.
pub fn llm_tokens(
    provider: &'static str,
    model: impl Into<SharedString>,
    of: TokenType,
    count: u64,
) {
    describe_once();
    let mut labels = labels(provider, model.into());
    labels.push(Label::from_static_parts("type", of.as_str()));
    metrics::counter!(LLM_TOKENS, labels).increment(count);
}

fn labels(provider: &'static str, model: SharedString) -> Vec<Label> {
    vec![
        Label::from_static_parts("provider", provider),
        Label::new("model", model),
    ]
}
