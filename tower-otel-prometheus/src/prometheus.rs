//! The handle that renders recorded metrics.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{format::Format, registry::Registry, scrape::Scrape, scrapes::Scrapes};

/// A handle that renders the metrics of a recorder: as text with [`render`](Self::render), or over HTTP with
/// [`service`](Self::service).
///
/// Clones render the same metrics.
#[derive(Clone)]
pub struct Prometheus {
    pub(crate) registry: Arc<Registry>,
    pub(crate) scrapes: Arc<Scrapes>,
    before_render: Arc<OnceLock<BeforeRender>>,
}

/// A function that updates metrics whose values are stored elsewhere.
type BeforeRender = Box<dyn Fn() + Send + Sync>;

impl Prometheus {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            scrapes: Arc::default(),
            before_render: Arc::default(),
        }
    }

    /// Returns all metrics recorded so far in the text format, version 0.0.4.
    ///
    /// Rendering takes about two microseconds per series of a histogram: two milliseconds for a
    /// thousand histograms. It does not block recording. The [service](Self::service) renders in
    /// pieces, and also in other formats.
    #[must_use]
    pub fn render(&self) -> String {
        self.pieces().collect()
    }

    /// Returns what [`render`](Self::render) returns in pieces of whole lines, as the [service](Self::service) renders them.
    #[doc(hidden)]
    pub fn pieces(&self) -> impl Iterator<Item = String> + 'static {
        let mut scrape = self.scrape(Format::Text);
        std::iter::from_fn(move || scrape.next_piece().map(into_text))
    }

    /// Sets a function to call before each render, which updates metrics whose values are stored elsewhere. Later calls of this
    /// method have no effect.
    #[doc(hidden)]
    pub fn before_render(&self, update: impl Fn() + Send + Sync + 'static) {
        let _ = self.before_render.set(Box::new(update));
    }

    /// Starts a render.
    pub(crate) fn scrape(&self, format: Format) -> Scrape {
        if let Some(update) = self.before_render.get() {
            update();
        }
        Scrape::new(Arc::clone(&self.registry), format)
    }
}

/// Converts a piece of the text format, which is always UTF-8.
fn into_text(piece: Vec<u8>) -> String {
    String::from_utf8(piece)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl fmt::Debug for Prometheus {
    /// Omits the recorded values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}
