//! Detects synthetic requests by their user agent.
//!
//! See [user agent attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/user-agent/),
//! `user_agent.synthetic.type`.

/// Parts of user agent names and their synthetic type.
///
/// The conventions do not define the list. This is the list of OpenTelemetry's own instrumentations, so that services in
/// several languages record the same values.
const SYNTHETIC: [(&str, &str); 3] = [
    ("alwayson", "test"),
    ("googlebot", "bot"),
    ("bingbot", "bot"),
];

/// Returns `user_agent.synthetic.type`, `bot` or `test`, for a known synthetic user agent.
///
/// The list is short: Googlebot, Bingbot and AlwaysOn, in any letter case. `None` does not mean that the client is
/// not a bot.
///
/// ```
/// use tower_otel_semconv::synthetic_type;
///
/// let agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
/// assert_eq!(synthetic_type(agent), Some("bot"));
/// assert_eq!(synthetic_type("curl/8.14.1"), None);
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
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_is_found_anywhere_in_the_user_agent() {
        for case in [
            "Googlebot/2.1 => bot",
            "a GOOGLEBOT => bot",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) => bot",
            "Mozilla/5.0 (MSIE 9.0; AppInsights; AlwaysOn) => test",
            "googlebo => -",
            " => -",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) => -",
        ] {
            let (agent, expected) = case.split_once(" => ").unwrap();
            assert_eq!(synthetic_type(agent).unwrap_or("-"), expected, "{case}");
        }
    }
}
