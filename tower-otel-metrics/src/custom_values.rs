//! The values of custom labels. They are stored once, so that an exchange has an index instead of texts.

use std::{
    array,
    hash::{Hash, Hasher},
};

use crate::{
    custom_labels::{CustomLabels, CustomValues},
    handle_cache::{EntryIndex, HandleCache, Query},
};

/// The values of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CustomValuesRef {
    /// No values yet.
    #[default]
    Empty,
    /// The index of the values in [`CustomValueTable`].
    Stored(EntryIndex),
    /// The table was full.
    Overflow,
}

/// All combinations of values that have occurred.
#[derive(Debug)]
pub(crate) struct CustomValueTable(HandleCache<ValuesKey, ()>);

impl CustomValueTable {
    /// Creates a table for the values of `series` series. Each series may have two combinations: one before the response and
    /// one after it.
    pub(crate) fn new(labels: &CustomLabels, series: usize) -> Self {
        let limit = if labels.is_empty() {
            0
        } else {
            series.saturating_mul(2)
        };
        Self(HandleCache::new(limit))
    }

    /// Stores `values` in addition to the `previous` values.
    pub(crate) fn add(&self, previous: CustomValuesRef, values: &CustomValues) -> CustomValuesRef {
        let previous = match previous {
            CustomValuesRef::Empty => None,
            CustomValuesRef::Stored(index) => Some(index),
            CustomValuesRef::Overflow => return CustomValuesRef::Overflow,
        };
        self.0
            .find_or_insert(&ValuesQuery { previous, values })
            .map_or(CustomValuesRef::Overflow, |found| {
                CustomValuesRef::Stored(found.index)
            })
    }

    /// Returns the stored values together with the previous ones.
    pub(crate) fn get(&self, stored: CustomValuesRef) -> CustomValues {
        let CustomValuesRef::Stored(index) = stored else {
            return CustomValues::default();
        };
        let Some(ValuesKey { previous, values }) = self.0.entry(index).map(|entry| &entry.key)
        else {
            return CustomValues::default();
        };
        let previous = previous.and_then(|index| self.0.entry(index));
        array::from_fn(|label| {
            let previous = previous.and_then(|entry| entry.key.values.get(label)?.clone());
            values.get(label).cloned().flatten().or(previous)
        })
    }
}

#[derive(Debug)]
struct ValuesKey {
    previous: Option<EntryIndex>,
    values: CustomValues,
}

struct ValuesQuery<'a> {
    previous: Option<EntryIndex>,
    values: &'a CustomValues,
}

impl Hash for ValuesQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.previous.map_or(0, EntryIndex::number));
        for value in self.values {
            state.write(value.as_deref().unwrap_or_default().as_bytes());
        }
    }
}

impl Query for ValuesQuery<'_> {
    type Key = ValuesKey;

    fn matches(&self, key: &ValuesKey) -> bool {
        self.previous == key.previous && *self.values == key.values
    }

    fn to_key(&self) -> ValuesKey {
        ValuesKey {
            previous: self.previous,
            values: self.values.clone(),
        }
    }
}
