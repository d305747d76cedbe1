//! Whether a request was made by a machine that says so.
//!
//! See [user agent attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/user-agent/),
//! `user_agent.synthetic.type`.

/// Parts of the names of those that make synthetic requests, and what those are. The conventions leave the list to
/// instrumentations; this is the one that OpenTelemetry's own use, so that services in several languages agree.
const SYNTHETIC: [(&str, &str); 3] = [
    ("alwayson", "test"),
    ("googlebot", "bot"),
    ("bingbot", "bot"),
];

/// `bot` or `test` for a user agent that is known as one, in whatever case. `None` says nothing: most bots are not
/// on the list.
///
/// ```
/// use tower_otel_semconv::user_agent;
///
/// let agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
/// assert_eq!(user_agent::synthetic_type(agent), Some("bot"));
/// assert_eq!(user_agent::synthetic_type("curl/8.14.1"), None);
/// ```
#[must_use]
pub fn synthetic_type(user_agent: &str) -> Option<&'static str> {
    let agent = user_agent.as_bytes();
    SYNTHETIC
        .into_iter()
        .find(|(name, _)| {
            agent
                .windows(name.len())
                .any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
        })
        .map(|(_, kind)| kind)
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn who_is_known_is_a_bot_or_a_test_wherever_the_name_stands() {
        for (agent, kind) in [
            ("Googlebot/2.1", Some("bot")),
            ("a GOOGLEBOT", Some("bot")),
            (
                "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
                Some("bot"),
            ),
            (
                "Mozilla/5.0 (MSIE 9.0; AppInsights; AlwaysOn)",
                Some("test"),
            ),
            ("googlebo", None),
            ("", None),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)", None),
        ] {
            assert_eq!(synthetic_type(agent), kind, "{agent}");
        }
    }
}
