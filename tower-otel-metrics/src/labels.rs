//! Labels of the caller's choice.

use std::{
    array, fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use tower_otel_core::{RequestHead, ResponseHead};

use crate::{
    dimensions::OwnValue,
    series::{At, Query, Series},
};

/// How many labels of the caller's a layer has room for.
pub(crate) const MAX_LABELS: usize = 4;

/// A value for each label, in the order in which the layer was given them.
pub(crate) type OwnValues = [OwnValue; MAX_LABELS];

/// Where the values come from, in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnLabels(Vec<Source>);

#[derive(Clone)]
pub(crate) enum Source {
    Request(RequestFn),
    Response(ResponseFn),
}

type RequestFn = Arc<dyn Fn(&dyn RequestHead) -> OwnValue + Send + Sync>;
type ResponseFn = Arc<dyn Fn(&dyn ResponseHead) -> OwnValue + Send + Sync>;

impl OwnLabels {
    /// Whether there was room for one more.
    pub(crate) fn push(&mut self, source: Source) -> bool {
        let room = self.0.len() < MAX_LABELS;
        if room {
            self.0.push(source);
        }
        room
    }

    /// Asked of every exchange, and most layers have none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the request says; `None` if no label is made from it.
    pub(crate) fn request(&self, request: &dyn RequestHead) -> Option<OwnValues> {
        self.ask(|source| match source {
            Source::Request(label) => Some(label(request)),
            Source::Response(_) => None,
        })
    }

    /// What the response says; `None` if no label is made from it.
    pub(crate) fn response(&self, response: &dyn ResponseHead) -> Option<OwnValues> {
        self.ask(|source| match source {
            Source::Request(_) => None,
            Source::Response(label) => Some(label(response)),
        })
    }

    fn ask(&self, answer: impl Fn(&Source) -> Option<OwnValue>) -> Option<OwnValues> {
        let mut values = None;
        for (at, source) in self.0.iter().enumerate() {
            if let Some(value) = answer(source) {
                let values = values.get_or_insert_with(OwnValues::default);
                if let Some(place) = values.get_mut(at) {
                    *place = value;
                }
            }
        }
        values
    }
}

/// What an exchange keeps of the values of its labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Own {
    /// There are none, so far.
    #[default]
    Nothing,
    /// They lie there.
    Known(At),
    /// There was no room for them.
    TooMany,
}

/// All values there have been, so that an exchange carries a number and not the texts.
#[derive(Debug)]
pub(crate) struct Values(Series<ValuesKey, ()>);

impl Values {
    /// With room for those of so many series: each may have values before there is a response, and
    /// others after it.
    pub(crate) fn new(labels: &OwnLabels, series: usize) -> Self {
        let room = if labels.is_empty() {
            0
        } else {
            series.saturating_mul(2)
        };
        Self(Series::new(room))
    }

    /// These values besides those there were before.
    pub(crate) fn add(&self, before: Own, values: &OwnValues) -> Own {
        let before = match before {
            Own::Nothing => None,
            Own::Known(at) => Some(at),
            Own::TooMany => return Own::TooMany,
        };
        self.0
            .find(&ValuesOf { before, values })
            .map_or(Own::TooMany, |found| Own::Known(found.at))
    }

    /// The values that lie there.
    pub(crate) fn get(&self, own: Own) -> OwnValues {
        let Own::Known(at) = own else {
            return OwnValues::default();
        };
        let Some(ValuesKey { before, values }) = self.0.entry(at).map(|entry| &entry.key) else {
            return OwnValues::default();
        };
        let before = before.and_then(|at| self.0.entry(at));
        array::from_fn(|label| {
            let before = before.and_then(|entry| entry.key.values.get(label)?.clone());
            values.get(label).cloned().flatten().or(before)
        })
    }
}

#[derive(Debug)]
struct ValuesKey {
    before: Option<At>,
    values: OwnValues,
}

struct ValuesOf<'a> {
    before: Option<At>,
    values: &'a OwnValues,
}

impl Hash for ValuesOf<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.before.map_or(0, At::number));
        for value in self.values {
            state.write(value.as_deref().unwrap_or_default().as_bytes());
        }
    }
}

impl Query for ValuesOf<'_> {
    type Key = ValuesKey;

    fn is(&self, key: &ValuesKey) -> bool {
        self.before == key.before && *self.values == key.values
    }

    fn to_key(&self) -> ValuesKey {
        ValuesKey {
            before: self.before,
            values: self.values.clone(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(_) => "Request",
            Self::Response(_) => "Response",
        })
    }
}
