//! The wire format of OpenAI's chat completions.

use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Span;

use super::ModelError;

/// The maximum size of a response.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// The maximum length of provider texts in a span, in characters.
const MAX_TEXT: usize = 64;

pub(super) fn request(model: &str, system: &str, prompt: &str, max_tokens: i64) -> Value {
    json!({
        "model": model,
        "max_tokens": max_tokens,
        "messages": [
            { "role": "system", "content": system },
            { "role": "user", "content": prompt },
        ],
    })
}

/// A parsed response.
#[derive(Debug)]
pub(super) struct Completion {
    id: Option<String>,
    model: Option<String>,
    text: String,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Response {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Completion {
    /// Parses a response body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ModelError> {
        let response: Response =
            serde_json::from_slice(body).map_err(|_| ModelError::Malformed("json"))?;
        let choice = response.choices.into_iter().next();
        let choice = choice.ok_or(ModelError::Malformed("no_choice"))?;
        let text = choice.message.content.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(ModelError::Malformed("no_text"));
        }
        let usage = response.usage;
        Ok(Self {
            id: response.id.map(truncate),
            model: response.model.map(truncate),
            text,
            input_tokens: usage.as_ref().and_then(|usage| usage.prompt_tokens),
            output_tokens: usage.as_ref().and_then(|usage| usage.completion_tokens),
        })
    }

    /// Records the completion in the current span.
    pub(super) fn record(&self) {
        let span = Span::current();
        span.record("gen_ai.response.id", self.id.as_deref());
        span.record("gen_ai.response.model", self.model.as_deref());
        let tokens = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
        span.record("gen_ai.usage.input_tokens", tokens(self.input_tokens));
        span.record("gen_ai.usage.output_tokens", tokens(self.output_tokens));
        span.record("llm.tokens_used", tokens(self.total_tokens()));
    }

    fn total_tokens(&self) -> Option<u64> {
        Some(self.input_tokens?.saturating_add(self.output_tokens?))
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

fn truncate(text: String) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_and_token_counts_are_parsed() {
        let body = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"m",
            "choices":[{"index":0,"message":{"role":"assistant","content":"A flat."},
            "finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
        let completion = Completion::parse(body.as_bytes()).unwrap();
        assert_eq!(completion.input_tokens, Some(7));
        assert_eq!(completion.output_tokens, Some(3));
        assert_eq!(completion.total_tokens(), Some(10));
        assert_eq!(completion.into_text(), "A flat.");
    }

    #[test]
    fn malformed_responses_have_a_reason() {
        for (body, reason) in [
            ("<html>502</html>", "json"),
            ("", "json"),
            (r#"{"error":{"message":"no"}}"#, "json"),
            (r#"{"choices":[]}"#, "no_choice"),
            (r#"{"choices":[{"message":{"content":null}}]}"#, "no_text"),
            (r#"{"choices":[{"message":{"content":" "}}]}"#, "no_text"),
        ] {
            let error = Completion::parse(body.as_bytes()).err().unwrap();
            assert_eq!(error, ModelError::Malformed(reason), "{body}");
        }
    }

    #[test]
    fn provider_texts_are_truncated() {
        let long = "x".repeat(1000);
        let body = json!({
            "model": long,
            "choices": [{ "message": { "content": "A flat." } }],
        });
        let completion = Completion::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(completion.model.unwrap().len(), MAX_TEXT);
        assert_eq!(completion.input_tokens, None);
    }
}
