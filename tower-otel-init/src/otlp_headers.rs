//! Headers of OTLP requests. Their values are secrets and never appear in a message. Names of invalid headers do not appear
//! either: the name of `Authorization: Basic QQ==` would be all text before the first `=`.

use crate::env::Env;
use crate::key_value_list::pairs;
use crate::settings::Settings;

pub(crate) const INVALID_HEADER: &str =
    "is not a header (expected a token that does not end in -bin, and a value of printable ASCII)";

/// The text that replaces a secret in messages.
pub(crate) const REDACTED: &str = "REDACTED";

/// Returns the headers of the first variable that is set, and the headers set in code, which take precedence. Names are
/// lowercase.
pub(crate) fn resolve(
    variables: &[&str],
    settings: &Settings,
    env: &mut Env<'_>,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let first_set = variables
        .iter()
        .find_map(|name| Some((name, env.get(name)?)));
    if let Some((variable, list)) = first_set {
        for (index, pair) in pairs(&list).enumerate() {
            match pair {
                Ok((name, value)) if is_header(&name, &value) => {
                    headers.push((name.to_ascii_lowercase(), value));
                }
                _ => {
                    let reason = format!(
                        "is not a header, as number {} of the list (expected name=value, percent-encoded)",
                        index + 1
                    );
                    env.warn(variable, REDACTED, reason, "the other headers");
                }
            }
        }
    }
    for (name, value) in &settings.headers {
        let name = name.to_ascii_lowercase();
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value.clone()));
    }
    headers
}

/// Returns whether both protocols can send this header.
pub(crate) fn is_header(name: &str, value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        // gRPC reserves the suffix for binary values.
        && !name.ends_with("-bin")
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
