//! Headers of OTLP requests. Their values are secrets and never appear in a message.

use crate::env::Env;
use crate::key_value_list::{InvalidPair, pairs};
use crate::settings::Settings;

pub(crate) const INVALID_HEADER: &str =
    "is not a header (expected a token that does not end in -bin, and a value of printable ASCII)";

const INVALID_HEADER_REASON: &str = "is not a header (expected name=value, percent-encoded)";

/// Returns the headers of the first variable that is set, replaced by those set in code. Names are
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
        for pair in pairs(&list) {
            let name = match pair {
                Ok((name, value)) if is_header(&name, &value) => {
                    headers.push((name.to_ascii_lowercase(), value));
                    continue;
                }
                Ok((name, _)) | Err(InvalidPair::Key(name)) => name,
                Err(InvalidPair::NoKey) => "REDACTED".to_owned(),
            };
            env.warn(variable, &name, INVALID_HEADER_REASON, "the other headers");
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
