//! What is compared with what, and what is wanted of it.

/// Arms that record the same.
pub struct Group {
    pub name: &'static str,
    /// A layer that does nothing, and nothing.
    pub no_op: &'static str,
    pub bare: &'static str,
    pub ours: &'static [&'static str],
    pub others: &'static [&'static str],
    /// Spans of an exchange: as many.
    pub spans: f64,
    /// Values in histograms of an exchange: so many at least.
    pub samples: f64,
}

pub const GROUPS: &[Group] = &[
    Group {
        name: "Server spans, by the API of OpenTelemetry",
        no_op: "no-op",
        bare: "bare",
        ours: &["record", "direct"],
        others: &["opentelemetry-instrumentation-tower"],
        spans: 1.0,
        samples: 0.0,
    },
    Group {
        name: "Server spans, through `tracing`",
        no_op: "no-op",
        bare: "bare",
        ours: &["tracing"],
        others: &["axum-tracing-opentelemetry", "tower-otel"],
        spans: 1.0,
        samples: 0.0,
    },
    Group {
        name: "Server metrics",
        no_op: "no-op",
        bare: "bare",
        ours: &[
            "metrics",
            "metrics, body sizes",
            "metrics, otel",
            "metrics, otel, body sizes",
        ],
        others: &[
            "axum-prometheus",
            "axum-otel-metrics",
            "tower-otel, metrics",
            "opentelemetry-instrumentation-tower, metrics",
        ],
        spans: 0.0,
        samples: 1.0,
    },
    Group {
        name: "Server spans and metrics",
        no_op: "no-op",
        bare: "bare",
        ours: &["record + metrics", "direct + metrics", "tracing + metrics"],
        others: &[
            "opentelemetry-instrumentation-tower, both",
            "tower-otel, both",
            "axum-tracing-opentelemetry, axum-prometheus",
        ],
        spans: 1.0,
        samples: 1.0,
    },
    Group {
        name: "Client span and injection, around a tower service",
        no_op: "call",
        bare: "call",
        ours: &[
            "client record + inject",
            "client direct + inject",
            "client tracing + inject",
        ],
        others: &["tower-otel, client"],
        spans: 1.0,
        samples: 0.0,
    },
    Group {
        name: "Client span and injection, in a chain of reqwest-middleware",
        no_op: "chain",
        bare: "chain",
        ours: &[
            "chain, record + inject",
            "chain, direct + inject",
            "chain, tracing + inject",
        ],
        others: &["reqwest-tracing"],
        spans: 1.0,
        samples: 0.0,
    },
];

/// An arm, and what it is measured over.
type Over = (&'static str, &'static str);

/// One of ours, those that do the same, and how many times as much the cheapest of them costs, at
/// the lower end of the interval.
pub struct Target {
    pub ours: Over,
    pub others: &'static [Over],
    pub at_least: f64,
}

const DIRECT: &[Over] = &[("opentelemetry-instrumentation-tower", "no-op")];

const TRACING: &[Over] = &[
    ("axum-tracing-opentelemetry", "no-op"),
    ("tower-otel", "no-op"),
];

const METRICS: &[Over] = &[
    ("axum-prometheus", "no-op"),
    ("axum-otel-metrics", "no-op"),
    ("tower-otel, metrics", "no-op"),
    ("opentelemetry-instrumentation-tower, metrics", "no-op"),
];

const CLIENTS: &[Over] = &[("tower-otel, client", "call"), ("reqwest-tracing", "chain")];

pub const TARGETS: &[Target] = &[
    Target {
        ours: ("direct", "no-op"),
        others: DIRECT,
        at_least: 2.0,
    },
    Target {
        ours: ("record", "no-op"),
        others: DIRECT,
        at_least: 3.0,
    },
    Target {
        ours: ("tracing", "no-op"),
        others: TRACING,
        at_least: 1.8,
    },
    Target {
        ours: ("metrics", "no-op"),
        others: METRICS,
        at_least: 5.0,
    },
    Target {
        ours: ("client direct + inject", "call"),
        others: CLIENTS,
        at_least: 4.0,
    },
];
