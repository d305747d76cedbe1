//! A number of spans and their size.

/// A number of spans and their total size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
}

impl Amount {
    /// Returns the number and size of the first spans that fit in `self`, given the size of each span. It is at least one
    /// span of any size, if there are any spans.
    pub(crate) fn first(self, sizes: impl Iterator<Item = usize>) -> Self {
        let mut first = Self::default();
        for size in sizes.take(self.spans) {
            let bytes = first.bytes.saturating_add(size);
            if first.spans > 0 && bytes > self.bytes {
                break;
            }
            first.spans += 1;
            first.bytes = bytes;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_limited_by_number_and_by_bytes_and_never_empty() {
        let first = |spans, bytes, sizes: &[usize]| {
            let first = Amount { spans, bytes }.first(sizes.iter().copied());
            (first.spans, first.bytes)
        };
        assert_eq!(first(3, 100, &[]), (0, 0));
        assert_eq!(first(3, 100, &[10, 10, 10, 10]), (3, 30));
        assert_eq!(first(3, 20, &[10, 10, 10]), (2, 20));
        assert_eq!(first(3, 19, &[10, 10, 10]), (1, 10));
        assert_eq!(first(3, 1, &[10, 10]), (1, 10));
        assert_eq!(first(9, usize::MAX, &[usize::MAX, 1]), (2, usize::MAX));
    }
}
