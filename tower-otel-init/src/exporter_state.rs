//! The state of an exporter of metrics or log records, for the control service and the page.

use std::fmt;
use std::sync::Arc;

use crate::endpoint_health::EndpointHealth;
use crate::item_counts::ItemCounts;

/// The state of an exporter, and the counts of its items if they are counted.
#[derive(Clone)]
pub(crate) struct ExporterState {
    pub(crate) health: Arc<EndpointHealth>,
    #[cfg_attr(not(feature = "control"), allow(dead_code))]
    pub(crate) counts: Option<Arc<dyn Fn() -> ItemCounts + Send + Sync>>,
}

impl fmt::Debug for ExporterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExporterState").field(&self.health).finish()
    }
}
