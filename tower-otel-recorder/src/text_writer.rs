//! A writer for formatted values that stops at a limit.

use std::fmt;

use crate::limits::cut;

const MAX_BYTES_PER_CHARACTER: usize = 4;

/// The destination of a text.
pub(crate) trait TextSink {
    /// Returns the number of bytes that can be appended without increasing the allowance.
    fn room(&self) -> usize;

    /// Appends a text. Returns `false` if it does not fit.
    fn push(&mut self, text: &str) -> bool;

    /// Returns the appended text.
    fn written(&self) -> &str;
}

/// Appends a text up to a number of characters, or slightly more. `write_str` returns an error when this number is reached, or
/// when the text does not fit.
#[derive(Debug)]
pub(crate) struct TextWriter<'a, T> {
    sink: &'a mut T,
    start: usize,
    length: usize,
    end: WriterEnd,
}

/// The state of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterEnd {
    Open,
    /// All characters are written.
    Complete,
    /// A part of the text does not fit.
    Overflow,
}

impl<'a, T: TextSink> TextWriter<'a, T> {
    pub(crate) fn new(sink: &'a mut T, length: usize) -> Self {
        Self {
            start: sink.written().len(),
            sink,
            length,
            end: WriterEnd::Open,
        }
    }

    pub(crate) const fn end(&self) -> WriterEnd {
        self.end
    }

    /// Returns the number of bytes that can be written before characters must be counted.
    fn room(&self) -> usize {
        let longest = self.length.saturating_mul(MAX_BYTES_PER_CHARACTER);
        let written = self.sink.written().len().saturating_sub(self.start);
        longest.saturating_sub(written).min(self.sink.room())
    }

    #[cold]
    fn write_part(&mut self, text: &str) -> fmt::Result {
        if self.end != WriterEnd::Open {
            return Err(fmt::Error);
        }
        let written = self.sink.written().get(self.start..).unwrap_or_default();
        let length = self.length.saturating_sub(written.chars().count());
        let part = cut(text, length);
        if !self.sink.push(part) {
            self.end = WriterEnd::Overflow;
        } else if part.len() < text.len() {
            self.end = WriterEnd::Complete;
        } else {
            return Ok(());
        }
        Err(fmt::Error)
    }
}

impl<T: TextSink> fmt::Write for TextWriter<'_, T> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.end == WriterEnd::Open && text.len() <= self.room() && self.sink.push(text) {
            return Ok(());
        }
        self.write_part(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// A text with a maximum number of bytes.
    struct Text(String, usize);

    impl TextSink for Text {
        fn room(&self) -> usize {
            self.1 - self.0.len()
        }

        fn push(&mut self, text: &str) -> bool {
            let fits = text.len() <= self.room();
            self.0.push_str(if fits { text } else { "" });
            fits
        }

        fn written(&self) -> &str {
            &self.0
        }
    }

    #[test]
    fn a_text_is_written_up_to_the_limit_and_not_after_it() {
        let mut text = Text("before".to_owned(), 11);
        let mut writer = TextWriter::new(&mut text, 3);
        writer.write_str("ab").unwrap();
        assert_eq!(writer.end(), WriterEnd::Open);
        assert!(writer.write_str("\u{e9}\u{20ac}").is_err());
        assert!(writer.write_str("d").is_err());
        assert_eq!(writer.end(), WriterEnd::Complete);
        assert_eq!(text.0, "beforeab\u{e9}");
        let mut writer = TextWriter::new(&mut text, 3);
        assert!(writer.write_str("ef").is_err());
        assert!(writer.write_str("g").is_err());
        assert_eq!(writer.end(), WriterEnd::Overflow);
        assert_eq!(text.0, "beforeab\u{e9}");
    }
}
