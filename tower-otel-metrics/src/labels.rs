//! Labels of the caller's choice.

use std::{fmt, sync::Arc};

use tower_otel_core::{RequestHead, ResponseHead};

use crate::dimensions::OwnValue;

/// How many labels of the caller's a layer has room for.
pub(crate) const MAX_LABELS: usize = 4;

/// The values an exchange carries. In place, so that values which are `'static` cost no allocation.
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

    pub(crate) fn request(&self, request: &dyn RequestHead) -> OwnValues {
        let mut values = OwnValues::default();
        for (value, source) in values.iter_mut().zip(&self.0) {
            if let Source::Request(label) = source {
                *value = label(request);
            }
        }
        values
    }

    pub(crate) fn respond(&self, values: &mut OwnValues, response: &dyn ResponseHead) {
        for (value, source) in values.iter_mut().zip(&self.0) {
            if let Source::Response(label) = source {
                *value = label(response);
            }
        }
    }

    /// As many as there are labels.
    pub(crate) fn of<'a>(&self, values: &'a OwnValues) -> &'a [OwnValue] {
        values.get(..self.0.len()).unwrap_or_default()
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
