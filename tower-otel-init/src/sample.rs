//! Samples of the text format of Prometheus, as the recorder renders it.

/// One line with a value.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    labels: Vec<(&'a str, String)>,
    pub(crate) value: f64,
    /// The value as text, because an integer may have more digits than `f64` represents.
    pub(crate) text: &'a str,
}

impl<'a> Sample<'a> {
    /// Parses `name{key="value",…} 1`. Returns `None` for comments, and if `is_wanted` returns `false` for the name.
    pub(crate) fn parse(line: &'a str, is_wanted: impl Fn(&str) -> bool) -> Option<Self> {
        let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
        if name == "#" || !is_wanted(name) {
            return None;
        }
        let mut labels = Vec::new();
        if let Some(pairs) = rest.strip_prefix('{') {
            rest = pairs;
            while !rest.starts_with('}') {
                let (key, quoted) = rest.split_once("=\"")?;
                let (value, after) = unquote(quoted)?;
                labels.push((key, value));
                rest = after.strip_prefix(',').unwrap_or(after);
            }
            rest = rest.strip_prefix('}')?;
        }
        let text = rest.trim();
        Some(Self {
            name,
            labels,
            value: text.parse().ok()?,
            text,
        })
    }

    /// Returns the names and the values of the labels.
    pub(crate) fn into_labels(self) -> impl Iterator<Item = (&'a str, String)> {
        self.labels.into_iter()
    }

    /// Returns the value of a label. A missing label is empty, as in Prometheus.
    pub(crate) fn label(&self, key: &str) -> &str {
        let label = self.labels.iter().find(|(name, _)| *name == key);
        label.map_or("", |(_, value)| value)
    }
}

/// Resolves the escapes of a help text.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => plain.push(escaped(chars.next().unwrap_or('\\'))),
            char => plain.push(char),
        }
    }
    plain
}

/// Returns the character that an escape stands for.
const fn escaped(char: char) -> char {
    match char {
        'n' => '\n',
        other => other,
    }
}

/// Splits a text at its closing quote, and resolves the escapes before the quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (end, '"') => return Some((value, text.get(end + 1..)?)),
            (_, '\\') => value.push(escaped(chars.next()?.1)),
            (_, char) => value.push(char),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_escapes_are_read() {
        let line = r#"a_total{path="/\"\\x\n,}",method="GET"} 7"#;
        let sample = Sample::parse(line, |_| true).unwrap();
        assert_eq!((sample.name, sample.value), ("a_total", 7.0));
        assert_eq!(
            (sample.label("path"), sample.label("method")),
            ("/\"\\x\n,}", "GET")
        );
        assert_eq!(sample.label("absent"), "");
    }

    #[test]
    fn other_lines_are_skipped() {
        for line in ["", "# TYPE a counter", "a{b=\"c 1", "a{b} 1", "a x", "b 1"] {
            assert_eq!(Sample::parse(line, |name| name == "a"), None, "{line}");
        }
    }
}
