//! Text for a terminal: colors, columns, durations.

use std::time::Duration;

/// Whether text is colored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) colors: bool,
}

/// A text attribute, by its ANSI number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Color {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Cyan = 36,
}

/// Returns whether `NO_COLOR` is unset or empty.
///
/// <https://no-color.org>
pub(crate) fn colors_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Style {
    /// Returns the text with the escape sequences of a color.
    pub(crate) fn paint(self, color: Color, text: &str) -> String {
        if !self.colors || text.trim().is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", color as u8)
    }
}

/// Returns the text padded to this many columns, or cut with `…` if it is longer.
pub(crate) fn fit(text: &str, width: usize) -> String {
    format!("{:width$}", cut(text, width))
}

/// Returns the text, cut with `…` if it has more columns than this.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{start}…")
}

/// Replaces control characters, because names and values may come from clients, and escape sequences can
/// change the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_control(c) { '·' } else { c })
        .collect()
}

/// Returns whether a character is a control character, ends a line, or changes the direction of the text after it.
fn is_control(c: char) -> bool {
    let ends_line_or_turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || ends_line_or_turns
}

/// Returns a duration with three significant digits and a unit.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 0.000_999_5 => (s * 1e6, "µs"),
        s if s < 0.999_5 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (micros, expected) in [
            (0, "0.00 µs"),
            (7, "7.00 µs"),
            (350, "350 µs"),
            (1_000, "1.00 ms"),
            (12_340, "12.3 ms"),
            (99_960, "100 ms"),
            (999_600, "1.00 s"),
            (61_500_000, "61.5 s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), expected);
        }
    }

    #[test]
    fn text_is_padded_or_cut_to_the_width_of_its_column() {
        assert_eq!(fit("├─ a", 6), "├─ a  ");
        assert_eq!(fit("├─ abcd", 6), "├─ ab…");
        assert_eq!(fit("abc", 0), "…");
    }

    #[test]
    fn text_is_colored_only_on_request_and_control_characters_are_replaced() {
        let [plain, colored] = [false, true].map(|colors| Style { colors });
        assert_eq!(plain.paint(Color::Red, "x"), "x");
        assert_eq!(colored.paint(Color::Red, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(colored.paint(Color::Red, "  "), "  ");
        assert_eq!(printable("a\x1b[2Jb\n\u{9b}c"), "a·[2Jb··c");
        assert_eq!(printable("a\u{202e}b\u{2028}c\u{2066}"), "a·b·c·");
    }
}
