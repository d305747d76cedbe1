//! A writer for values that are formatted, which stops at a limit.

use std::fmt;

/// Appends to a string, up to a number of bytes in all. Returns an error when that is reached.
#[derive(Debug)]
pub(crate) struct TextWriter<'a> {
    texts: &'a mut String,
    end: usize,
    is_full: bool,
}

impl<'a> TextWriter<'a> {
    pub(crate) const fn new(texts: &'a mut String, end: usize) -> Self {
        Self {
            texts,
            end,
            is_full: false,
        }
    }

    /// Returns whether a part of the text was not written.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    #[cold]
    fn write_part(&mut self, text: &str) -> fmt::Result {
        if !self.is_full {
            self.is_full = true;
            let mut end = self.end.saturating_sub(self.texts.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            self.texts.push_str(text.get(..end).unwrap_or_default());
        }
        Err(fmt::Error)
    }
}

impl fmt::Write for TextWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_full || text.len() > self.end.saturating_sub(self.texts.len()) {
            return self.write_part(text);
        }
        self.texts.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn a_text_is_written_up_to_the_limit_and_not_after_it() {
        let mut texts = "before".to_owned();
        let mut writer = TextWriter::new(&mut texts, 10);
        writer.write_str("ab").unwrap();
        assert!(!writer.is_full());
        assert!(writer.write_str("c\u{20ac}").is_err());
        assert!(writer.write_str("d").is_err());
        assert!(writer.is_full());
        assert_eq!(texts, "beforeabc");
        let mut writer = TextWriter::new(&mut texts, 3);
        assert!(writer.write_str("e").is_err());
        assert_eq!(texts, "beforeabc");
    }
}
