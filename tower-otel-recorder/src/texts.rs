//! The texts of one span in one string, within limits.

use std::{
    fmt::{self, Debug, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    allowance::Allowance,
    limits::{NAME_LENGTH, TextLimits, cut},
    text_writer::{TextSink, TextWriter, WriterEnd},
};

/// The text of a value whose `Debug` or `Display` implementation panics.
const PANICKED: &str = "<panicked while formatting>";

/// The texts of one span. Each text has a maximum number of characters, and all together have a maximum number of bytes.
pub(crate) struct TextStore {
    texts: String,
    limits: TextLimits,
    /// The maximum number of bytes of `texts`: the limit without bytes that other parts of the span have taken.
    max_bytes: usize,
    /// The bytes of the limit that are not in `max_bytes` because they are not yet allowed.
    withheld: usize,
    allowance: Option<Allowance>,
    /// The number of texts that did not fit.
    dropped: u32,
}

impl Debug for TextStore {
    /// Omits the texts, because they may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextStore")
            .field("bytes", &self.texts.len())
            .finish_non_exhaustive()
    }
}

/// A part of the texts of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRange {
    start: usize,
    end: usize,
}

impl TextRange {
    /// Returns the range of the same text after it was appended to a buffer with `offset` bytes.
    pub(crate) const fn moved(self, offset: usize) -> Self {
        Self {
            start: self.start + offset,
            end: self.end + offset,
        }
    }
}

impl TextStore {
    pub(crate) fn new(limits: TextLimits, capacity: usize) -> Self {
        Self {
            texts: String::with_capacity(capacity),
            ..Self::empty(limits)
        }
    }

    /// Returns a store without capacity.
    pub(crate) const fn empty(limits: TextLimits) -> Self {
        Self {
            texts: String::new(),
            limits,
            max_bytes: limits.bytes,
            withheld: 0,
            allowance: None,
            dropped: 0,
        }
    }

    /// Sets the limits of an empty store.
    pub(crate) const fn set_limits(&mut self, limits: TextLimits) {
        self.limits = limits;
        self.max_bytes = limits.bytes;
    }

    /// Copies a text, cut to its number of characters. Returns `None` and counts it if it does not fit.
    #[inline]
    pub(crate) fn store(&mut self, text: &str) -> Option<TextRange> {
        self.store_up_to(text, self.limits.length)
    }

    /// Copies a name like [`store`](Self::store), cut to the length of names.
    #[inline]
    pub(crate) fn store_name(&mut self, name: &str) -> Option<TextRange> {
        self.store_up_to(name, NAME_LENGTH)
    }

    /// Copies a name and its target, separated by a space, like [`store_name`](Self::store_name).
    #[inline]
    pub(crate) fn store_name_and_target(&mut self, name: &str, target: &str) -> Option<TextRange> {
        let length = name.len() + 1 + target.len();
        if length > NAME_LENGTH || length > self.room() {
            return self.store_name(&[name, " ", target].concat());
        }
        let start = self.texts.len();
        for part in [name, " ", target] {
            self.texts.push_str(part);
        }
        Some(TextRange {
            start,
            end: self.texts.len(),
        })
    }

    #[inline]
    fn store_up_to(&mut self, text: &str, length: usize) -> Option<TextRange> {
        let start = self.texts.len();
        if !self.push(cut(text, length)) {
            self.drop_one();
            return None;
        }
        Some(TextRange {
            start,
            end: self.texts.len(),
        })
    }

    /// Stores the formatted text of `value`, like [`store`](Self::store). If the value panics, its text is [`PANICKED`].
    ///
    /// The value receives an error when it writes more than can be stored.
    pub(crate) fn store_debug(&mut self, value: &dyn Debug) -> Option<TextRange> {
        self.store_debug_up_to(value, self.limits.length)
    }

    /// Stores the formatted text of `value` as a name, like [`store_debug`](Self::store_debug), cut to the length of names.
    pub(crate) fn store_debug_name(&mut self, value: &dyn Debug) -> Option<TextRange> {
        self.store_debug_up_to(value, NAME_LENGTH)
    }

    fn store_debug_up_to(&mut self, value: &dyn Debug, length: usize) -> Option<TextRange> {
        let allowed = self.allowance.as_ref().map(Allowance::allowed);
        let start = self.texts.len();
        if !self.format(value, length) {
            self.texts.truncate(start);
            self.give_back(allowed);
            self.drop_one();
            return None;
        }
        Some(TextRange {
            start,
            end: self.texts.len(),
        })
    }

    /// Appends the text of a value. Returns `false` if it does not fit.
    fn format(&mut self, value: &dyn Debug, length: usize) -> bool {
        let start = self.texts.len();
        let mut writer = TextWriter::new(self, length);
        let formatted = catch_unwind(AssertUnwindSafe(|| write!(writer, "{value:?}")));
        let end = writer.end();
        // A value that panics because of the error of a full writer keeps its text.
        if formatted.is_err() && end == WriterEnd::Open {
            self.texts.truncate(start);
            return self.push(cut(PANICKED, length));
        }
        let written = self.texts.get(start..).unwrap_or_default();
        let text = cut(written, length).len();
        self.texts.truncate(start + text);
        end != WriterEnd::Overflow
    }

    /// Reduces the allowance to `allowed` bytes, and returns the bytes over it to the lender.
    #[cold]
    fn give_back(&mut self, allowed: Option<usize>) {
        let used = self.used();
        if let Some(allowed) = allowed
            && let Some(mut allowance) = self.allowance.take()
        {
            allowance.reduce(allowed);
            self.apply(allowance, used);
        }
    }

    #[cold]
    const fn drop_one(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// Copies all texts of `other` to the end, regardless of limits.
    pub(crate) fn append(&mut self, other: &Self) {
        self.texts.push_str(&other.texts);
    }

    /// Returns a text.
    pub(crate) fn get(&self, range: TextRange) -> &str {
        self.texts.get(range.start..range.end).unwrap_or_default()
    }

    /// Returns the number of texts that did not fit.
    pub(crate) const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Returns the length of all texts together.
    pub(crate) const fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.texts.capacity()
    }

    /// Returns the number of bytes that are left.
    pub(crate) const fn room(&self) -> usize {
        self.max_bytes.saturating_sub(self.texts.len())
    }

    /// Returns the number of bytes that would be left if all bytes of the limit were allowed.
    pub(crate) const fn room_in_all(&self) -> usize {
        self.room().saturating_add(self.withheld)
    }

    /// Restricts the bytes to an allowance. Returns `false` and does not restrict them if the used bytes exceed it.
    #[inline]
    pub(crate) fn restrict(&mut self, mut allowance: Allowance) -> bool {
        self.lift_restriction();
        let used = self.used();
        if used == 0 && self.texts.is_empty() {
            let room = self.max_bytes.min(allowance.allowed());
            self.withheld = self.max_bytes - room;
            self.max_bytes = room;
            self.allowance = Some(allowance);
            return true;
        }
        if !allowance.allows(used) {
            return false;
        }
        self.apply(allowance, used);
        true
    }

    /// Returns whether the bytes are restricted to an allowance.
    pub(crate) const fn is_restricted(&self) -> bool {
        self.allowance.is_some()
    }

    /// Lifts the restriction to an allowance.
    #[inline]
    pub(crate) fn lift_restriction(&mut self) {
        self.max_bytes = self.max_bytes.saturating_add(self.withheld);
        self.withheld = 0;
        self.allowance = None;
    }

    /// Makes room for this many bytes, if the allowance can be increased.
    #[cold]
    fn grow(&mut self, needed: usize) -> bool {
        let used = self.used();
        if self.allowance.is_none() || needed > self.room_in_all() {
            return false;
        }
        let Some(mut allowance) = self.allowance.take() else {
            return false;
        };
        let is_allowed = allowance.allows(used.saturating_add(needed));
        self.apply(allowance, used);
        is_allowed
    }

    /// Sets the room that an allowance leaves.
    #[inline]
    fn apply(&mut self, allowance: Allowance, used: usize) {
        let all = self.room_in_all();
        let room = all.min(allowance.allowed().saturating_sub(used));
        self.max_bytes = self.texts.len().saturating_add(room);
        self.withheld = all - room;
        self.allowance = Some(allowance);
    }

    /// Returns the number of bytes of the limit that the span has used.
    #[inline]
    const fn used(&self) -> usize {
        self.limits.bytes.saturating_sub(self.room_in_all())
    }

    /// Takes bytes for another part of the same span. Returns `false` and takes none if fewer are left.
    #[inline]
    pub(crate) fn take_room(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.room() || self.grow(bytes);
        if fits {
            self.max_bytes -= bytes;
        }
        fits
    }

    /// Returns bytes that were taken.
    pub(crate) const fn return_room(&mut self, bytes: usize) {
        self.max_bytes = self.max_bytes.saturating_add(bytes);
    }

    /// Removes all texts and taken bytes, and keeps the capacity up to a bound. The store must not be restricted.
    pub(crate) fn clear(&mut self, max_capacity: usize) {
        self.texts.clear();
        self.texts.shrink_to(max_capacity);
        self.max_bytes = self.limits.bytes;
        self.dropped = 0;
    }
}

impl TextSink for TextStore {
    #[inline]
    fn room(&self) -> usize {
        Self::room(self)
    }

    /// Appends a text, after increasing the allowance if needed.
    #[inline]
    fn push(&mut self, text: &str) -> bool {
        let fits = text.len() <= self.room() || self.grow(text.len());
        if fits {
            self.texts.push_str(text);
        }
        fits
    }

    fn written(&self) -> &str {
        &self.texts
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use std::fmt;

    use super::*;

    fn store(length: usize, bytes: usize) -> TextStore {
        TextStore::empty(TextLimits { length, bytes })
    }

    struct Panics;

    impl Debug for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("partly")?;
            panic!("no text")
        }
    }

    #[test]
    fn a_value_that_panics_while_it_is_formatted_is_replaced() {
        let mut texts = store(100, 100);
        let values: [&dyn Debug; 3] = [&1, &Panics, &'x'];
        for (value, expected) in values.into_iter().zip(["1", PANICKED, "'x'"]) {
            let text = texts.store_debug(value).map(|range| texts.get(range));
            assert_eq!(text, Some(expected));
        }
        // A text that is needed for a panic has the same limits.
        assert!(store(100, 20).store_debug(&Panics).is_none());
    }

    #[test]
    fn a_name_and_its_target_have_the_limits_of_their_joined_text() {
        let long = "x".repeat(NAME_LENGTH);
        for (target, bytes) in [
            ("/a", 6),
            ("/a", 5),
            ("", 4),
            ("\u{e9}", 100),
            (&*long, 2 * NAME_LENGTH),
            (&*long, NAME_LENGTH),
            (&*long, NAME_LENGTH - 1),
        ] {
            let (mut joined, mut parts) = (store(1, bytes), store(1, bytes));
            let name = joined.store_name(&format!("GET {target}"));
            let name = name.map(|range| joined.get(range));
            let stored = parts.store_name_and_target("GET", target);
            let stored = stored.map(|range| parts.get(range));
            assert_eq!(stored, name, "{} {bytes}", target.len());
            assert_eq!(parts.dropped(), joined.dropped());
        }
    }

    #[test]
    fn a_formatted_value_is_cut_like_a_text_and_dropped_like_one() {
        for (text, length, bytes) in [
            ("", 0, 0),
            ("abc", 3, 3),
            ("abc", 3, 2),
            ("abcd", 3, 3),
            ("abcd", 3, 100),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", 3, 6),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", 3, 5),
            ("\u{1f600}\u{1f600}", 1, 4),
            ("\u{1f600}\u{1f600}", 1, 3),
            ("abcdefghijklmnop", 3, 12),
        ] {
            let mut copied = store(length, bytes);
            let mut formatted = store(length, bytes);
            let copy = copied.store(text).map(|range| copied.get(range));
            let format = formatted.store_debug(&format_args!("{text}"));
            let format = format.map(|range| formatted.get(range));
            assert_eq!(format, copy, "{text}, {length}, {bytes}");
            assert_eq!(formatted.dropped, copied.dropped);
            assert_eq!(formatted.len(), copied.len());
        }
    }

    #[test]
    fn bytes_that_are_taken_are_not_left_for_texts() {
        let mut texts = store(100, 10);
        assert!(texts.take_room(6));
        assert!(texts.store("12345").is_none());
        assert!(texts.store("123").is_some());
        assert!(!texts.take_room(2));
        texts.return_room(6);
        assert_eq!(texts.room(), 7);
        texts.clear(0);
        assert_eq!((texts.room(), texts.capacity()), (10, 0));
    }
}
