//! Labels that the application adds.

use std::{borrow::Cow, fmt, sync::Arc};

use tower_otel_core::{RequestHead, ResponseHead};

use crate::label_text::{MAX_VALUE_LENGTH, cut};

/// The maximum number of custom labels of a layer.
pub(crate) const MAX_LABELS: usize = 4;

/// The value of a custom label. `None` omits the label.
pub(crate) type CustomValue = Option<Cow<'static, str>>;

/// One value per custom label, in the order of their addition.
pub(crate) type CustomValues = [CustomValue; MAX_LABELS];

/// The functions that return the values, in the order of their addition.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomLabels(Vec<LabelSource>);

/// The function that returns the value of a custom label.
#[derive(Clone)]
pub(crate) enum LabelSource {
    Request(RequestFn),
    Response(ResponseFn),
}

type RequestFn = Arc<dyn Fn(&dyn RequestHead) -> CustomValue + Send + Sync>;
type ResponseFn = Arc<dyn Fn(&dyn ResponseHead) -> CustomValue + Send + Sync>;

impl CustomLabels {
    /// Adds a label. Returns `false` if there are already [`MAX_LABELS`].
    pub(crate) fn push(&mut self, source: LabelSource) -> bool {
        let has_room = self.0.len() < MAX_LABELS;
        if has_room {
            self.0.push(source);
        }
        has_room
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values from the request, or `None` if no label is read from it.
    pub(crate) fn request_values(&self, request: &dyn RequestHead) -> Option<CustomValues> {
        self.values(|source| match source {
            LabelSource::Request(value) => Some(value(request)),
            LabelSource::Response(_) => None,
        })
    }

    /// Returns the values from the response, or `None` if no label is read from it.
    pub(crate) fn response_values(&self, response: &dyn ResponseHead) -> Option<CustomValues> {
        self.values(|source| match source {
            LabelSource::Request(_) => None,
            LabelSource::Response(value) => Some(value(response)),
        })
    }

    fn values(&self, make: impl Fn(&LabelSource) -> Option<CustomValue>) -> Option<CustomValues> {
        let mut values = None;
        for (index, source) in self.0.iter().enumerate() {
            if let Some(value) = make(source) {
                let values = values.get_or_insert_with(CustomValues::default);
                if let Some(slot) = values.get_mut(index) {
                    *slot = value.map(|value| cut(value, MAX_VALUE_LENGTH));
                }
            }
        }
        values
    }
}

impl fmt::Debug for LabelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(_) => "Request",
            Self::Response(_) => "Response",
        })
    }
}
