//! Renders what was recorded.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use metrics_exporter_prometheus::PrometheusHandle;

use crate::{protobuf, registry::Registry, summary::parse_summaries, upkeep::UpkeepThread};

/// A handle that renders the metrics of a recorder.
///
/// Clones render the same metrics.
#[derive(Clone, Debug)]
pub struct Prometheus(pub(crate) Renderer);

/// What is rendered.
#[derive(Clone)]
pub(crate) struct Renderer {
    /// The summaries.
    pub(crate) exporter: PrometheusHandle,
    pub(crate) registry: Arc<Registry>,
    pub(crate) _upkeep: Arc<UpkeepThread>,
    pub(crate) before_render: Arc<OnceLock<BeforeRender>>,
}

/// A function that updates metrics whose values are stored elsewhere.
type BeforeRender = Box<dyn Fn() + Send + Sync>;

impl Prometheus {
    /// Returns everything recorded so far in the text format, version 0.0.4.
    ///
    /// Rendering takes about two microseconds per series of a histogram and ten times that per
    /// summary: two milliseconds for a thousand histograms. It does not block recording.
    #[must_use]
    pub fn render(&self) -> String {
        self.update();
        let mut text = String::new();
        self.0.registry.render_values(&mut text);
        text.push_str(&self.0.exporter.render());
        self.0.registry.render_histograms(&mut text);
        text
    }

    /// Sets a function to call before each render, which updates metrics whose values are stored elsewhere. Only the first
    /// one is set.
    #[doc(hidden)]
    pub fn before_render(&self, update: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.before_render.set(Box::new(update));
    }

    fn update(&self) {
        if let Some(update) = self.0.before_render.get() {
            update();
        }
    }

    /// Returns the same in the delimited protobuf format, with native histograms.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.update();
        let mut out = Vec::new();
        for summary in parse_summaries(&self.0.exporter.render()) {
            protobuf::write_summary(&mut out, summary);
        }
        self.0.registry.encode(&mut out);
        out
    }
}

impl fmt::Debug for Renderer {
    /// Omits the recorded values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer").finish_non_exhaustive()
    }
}
