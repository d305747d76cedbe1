//! The compared arms and the targets.

/// Arms that record the same telemetry.
pub struct Group {
    pub name: &'static str,
    /// The arm with a no-op layer, and the bare one.
    pub no_op: &'static str,
    pub bare: &'static str,
    pub ours: &'static [&'static str],
    pub others: &'static [&'static str],
    /// The number of spans of an exchange.
    pub spans: f64,
    /// The minimum number of histogram samples of an exchange.
    pub samples: f64,
}

pub const GROUPS: &[Group] = &[
    Group {
        name: "Server spans, without `tracing`",
        no_op: "no-op",
        bare: "bare",
        ours: &["record", "direct"],
        others: &["opentelemetry-instrumentation-tower", "fastrace-axum"],
        spans: 1.0,
        samples: 0.0,
    },
    Group {
        name: "Server spans, through `tracing`",
        no_op: "no-op",
        bare: "bare",
        ours: &["recorded tracing", "tracing"],
        others: &["axum-tracing-opentelemetry", "tower-otel", "tower-http"],
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
        ours: &[
            "record + metrics",
            "direct + metrics",
            "recorded tracing + metrics",
            "tracing + metrics",
        ],
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

/// An arm and its baseline.
type ArmOverBaseline = (&'static str, &'static str);

/// An arm of the suite, the comparable arms of other crates, and the minimum ratio of their lowest cost to
/// the cost of the suite, at the lower end of the interval.
pub struct Target {
    pub ours: ArmOverBaseline,
    pub others: &'static [ArmOverBaseline],
    pub at_least: f64,
}

/// Each records at least method, route, path, status, parent and the duration to the head of the response. A span of tower-http
/// has no route, no status and no remote parent.
const SPANS: &[ArmOverBaseline] = &[
    ("opentelemetry-instrumentation-tower", "no-op"),
    ("fastrace-axum", "no-op"),
    ("axum-tracing-opentelemetry", "no-op"),
    ("tower-otel", "no-op"),
];

const METRICS: &[ArmOverBaseline] = &[
    ("axum-prometheus", "no-op"),
    ("axum-otel-metrics", "no-op"),
    ("tower-otel, metrics", "no-op"),
    ("opentelemetry-instrumentation-tower, metrics", "no-op"),
];

const CLIENTS: &[ArmOverBaseline] = &[("tower-otel, client", "call"), ("reqwest-tracing", "chain")];

pub const TARGETS: &[Target] = &[
    Target {
        ours: ("direct", "no-op"),
        others: SPANS,
        at_least: 2.0,
    },
    Target {
        ours: ("record", "no-op"),
        others: SPANS,
        at_least: 4.0,
    },
    Target {
        ours: ("recorded tracing", "no-op"),
        others: SPANS,
        at_least: 3.0,
    },
    Target {
        ours: ("metrics", "no-op"),
        others: METRICS,
        at_least: 5.0,
    },
    Target {
        ours: ("client record + inject", "call"),
        others: CLIENTS,
        at_least: 4.0,
    },
];
