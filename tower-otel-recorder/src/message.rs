//! Error texts without secrets.

/// Removes credentials and queries from the URLs in a text.
pub(crate) fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A password may contain commas and brackets, so only characters that no URL contains end a URL.
        let end = part
            .find([' ', '\t', '\n', '"', '<', '>'])
            .unwrap_or(part.len());
        let (url, after) = part.split_at(end);
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        cleaned.extend(["://", host, path, after]);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_are_removed_from_urls() {
        for (text, cleaned) in [
            ("", ""),
            ("no collector", "no collector"),
            ("a@b: http://h/x@y", "a@b: http://h/x@y"),
            (
                "for url (http://me:s3cr3t@h:4318/v1)",
                "for url (http://h:4318/v1)",
            ),
            ("http://a@b@h and grpc://me@h?q=1", "http://h and grpc://h"),
            ("(http://me:pa,s)s'@h:4318/v1)", "(http://h:4318/v1)"),
            ("<http://me:a@h/v1?token=a,b>.", "<http://h/v1>."),
        ] {
            assert_eq!(without_credentials(text), cleaned);
        }
    }
}
