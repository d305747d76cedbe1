//! `OTEL_EXPORTER_OTLP_CERTIFICATE`: certificates that replace the root certificates of the platform.

use crate::env::Env;
use crate::otlp_headers::REDACTED;

/// Returns the content of the first file that contains a certificate. Warns about the others.
pub(crate) fn resolve(variables: &[&str], env: &mut Env<'_>) -> Option<Vec<u8>> {
    let mut invalid = Vec::new();
    let mut valid = None;
    for variable in variables {
        let Some(path) = env.get(variable) else {
            continue;
        };
        match read_pem(&path) {
            Ok(pem) => {
                valid = Some((path, pem));
                break;
            }
            // The value is the content of a file, which may contain a private key.
            Err(reason) if path.contains("-----BEGIN") => {
                invalid.push((*variable, REDACTED.to_owned(), reason));
            }
            Err(reason) => invalid.push((*variable, path, reason)),
        }
    }
    let fallback = match &valid {
        Some((path, _)) => path,
        None => "the root certificates of the platform",
    };
    for (variable, path, reason) in invalid {
        env.warn(variable, &path, reason, fallback);
    }
    valid.map(|(_, pem)| pem)
}

fn read_pem(path: &str) -> Result<Vec<u8>, String> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const EXPECTED: &str = "(expected a PEM file with a certificate)";
    let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error} {EXPECTED}"))?;
    if pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
        Ok(pem)
    } else {
        Err(format!("does not contain a certificate {EXPECTED}"))
    }
}
