//! Text on a terminal: colours, columns, durations.

use std::time::Duration;

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) colours: bool,
}

/// The colours there are, by their number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Blue = 34,
    Cyan = 36,
}

/// Unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Style {
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.colours || text.trim().is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", colour as u8)
    }
}

/// The text in exactly this many columns, cut short with `…` where it is longer.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Without what would move the cursor: names and values are strangers' words.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

/// Three digits and a unit.
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
        for (micros, shown) in [
            (0, "0.00 µs"),
            (7, "7.00 µs"),
            (350, "350 µs"),
            (1_000, "1.00 ms"),
            (12_340, "12.3 ms"),
            (99_960, "100 ms"),
            (999_600, "1.00 s"),
            (61_500_000, "61.5 s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn a_column_is_as_wide_as_it_is() {
        assert_eq!(fit("├─ a", 6), "├─ a  ");
        assert_eq!(fit("├─ abcd", 6), "├─ ab…");
        assert_eq!(fit("abc", 0), "…");
    }

    #[test]
    fn plain_text_stays_plain_and_escapes_do_not_pass() {
        let [plain, coloured] = [false, true].map(|colours| Style { colours });
        assert_eq!(plain.paint(Colour::Red, "x"), "x");
        assert_eq!(coloured.paint(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(coloured.paint(Colour::Red, "  "), "  ");
        assert_eq!(printable("a\x1b[2Jb\n"), "a·[2Jb·");
    }
}
