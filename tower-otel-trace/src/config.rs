//! What a layer was told.

use tower_otel_core::{
    Filter, Kind, RouteSource,
    semconv::{KnownMethods, Proxies, SensitiveKeys},
};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) kind: Kind,
    pub(crate) filter: Filter,
    pub(crate) route: RouteSource,
    pub(crate) methods: KnownMethods,
    pub(crate) proxies: Proxies,
    pub(crate) sensitive: SensitiveKeys,
    pub(crate) personal_data: bool,
    pub(crate) https: bool,
}

impl Config {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            filter: Filter::all(),
            route: RouteSource::default(),
            methods: KnownMethods::from_env(),
            proxies: Proxies::none(),
            sensitive: SensitiveKeys::default(),
            personal_data: true,
            https: false,
        }
    }
}
