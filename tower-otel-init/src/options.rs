//! Enums of the values that a setting accepts.

/// A setting with a fixed set of values, called choices.
pub(crate) trait ChoiceSetting: Sized {
    /// The text in a message about an invalid value.
    const INVALID: &'static str;

    /// Returns the choice that a variable's value names.
    fn parse(value: &str) -> Option<Self>;

    /// Returns the choice that a variable's value names, ignoring ASCII case.
    fn parse_ignoring_case(value: &str) -> Option<Self> {
        Self::parse(&value.to_ascii_lowercase())
    }

    /// Returns the variable's value that names the choice.
    fn as_str(&self) -> &'static str;
}

/// Defines an enum with one variant for each value of a variable.
macro_rules! string_enum {
    (
        $(#[$doc:meta])*
        $vis:vis $name:ident: $kind:literal {
            $(#[$first_doc:meta])* $first:ident = $first_value:literal,
            $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $(#[$first_doc])* $first,
            $($(#[$variant_doc])* $variant,)*
        }

        impl ChoiceSetting for $name {
            const INVALID: &'static str = concat!(
                "is not ", $kind, " (expected one of ", $first_value, $(", ", $value,)* ")"
            );

            fn parse(value: &str) -> Option<Self> {
                match value {
                    $first_value => Some(Self::$first),
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn as_str(&self) -> &'static str {
                match self {
                    Self::$first => $first_value,
                    $(Self::$variant => $value,)*
                }
            }
        }
    };
}

string_enum! {
    /// The exporter of spans (`OTEL_TRACES_EXPORTER`). Default: `Otlp`, or `None` with the page if no endpoint is set.
    #[non_exhaustive]
    pub TracesExporter: "a traces exporter" {
        /// Sends spans to a collector by OTLP.
        Otlp = "otlp",
        /// Prints each trace to the standard output as a tree when its last span ends.
        Console = "console",
        /// Exports no spans. Spans still have ids, which log lines show and clients send. The page still shows the spans.
        None = "none",
    }
}

string_enum! {
    /// An exporter of metrics (`OTEL_METRICS_EXPORTER`). Default: `Prometheus`, or `None` without the feature `prometheus`.
    #[non_exhaustive]
    pub MetricsExporter: "a metrics exporter" {
        /// Pushes the metrics of OpenTelemetry meters to a collector by OTLP. With `Prometheus` or `Console`,
        /// also pushes the metrics of the `metrics` facade.
        Otlp = "otlp",
        /// Serves the metrics of the `metrics` facade through
        /// [`Telemetry::prometheus`](crate::Telemetry).
        Prometheus = "prometheus",
        /// Prints the metrics of the `metrics` facade to the standard output, in the Prometheus text format, once per
        /// [`metric_interval`](crate::TelemetryBuilder::metric_interval).
        Console = "console",
        /// Exports no metrics, and installs no recorder of the `metrics` facade.
        None = "none",
    }
}

string_enum! {
    /// The exporter of log records (`OTEL_LOGS_EXPORTER`). Log lines are written to the standard output with every exporter.
    pub(crate) LogsExporter: "a logs exporter" {
        /// Sends log records to a collector by OTLP. Requires the feature `logs`.
        Otlp = "otlp",
        /// Sends nothing. The log lines on the standard output are the console output.
        Console = "console",
        /// Sends nothing.
        None = "none",
    }
}

string_enum! {
    /// The transport of OTLP (`OTEL_EXPORTER_OTLP_PROTOCOL`). Default: `Grpc`, or `HttpProtobuf` without the feature `grpc`.
    #[non_exhaustive]
    pub Protocol: "a protocol" {
        /// gRPC. Default port: 4317. Requires the feature `grpc`.
        Grpc = "grpc",
        /// Protobuf over HTTP. Default port: 4318. Requires the feature `http`. Connects through the proxy in `HTTP_PROXY`,
        /// `HTTPS_PROXY` or `ALL_PROXY`, except to the hosts in `NO_PROXY`.
        HttpProtobuf = "http/protobuf",
    }
}

string_enum! {
    /// The format of log lines (`LOG_FORMAT`). Default: `Json`.
    pub(crate) LogFormat: "a log format" {
        /// One JSON object per line, with the fields of the event and of its spans.
        Json = "json",
        /// Text to read on a terminal: time, level, span names, message, fields and trace id.
        Pretty = "pretty",
    }
}

string_enum! {
    /// The samples that become exemplars.
    pub(crate) ExemplarFilter: "an exemplar filter" {
        /// Samples that are recorded in a sampled span.
        TraceBased = "trace_based",
        /// No sample.
        AlwaysOff = "always_off",
    }
}

string_enum! {
    /// A format of trace context or baggage in headers.
    pub(crate) Propagator: "a propagator" {
        /// W3C Trace Context, level 2.
        TraceContext = "tracecontext",
        /// W3C Baggage.
        Baggage = "baggage",
        /// B3 in a single header.
        B3 = "b3",
        /// B3 in several headers.
        B3Multi = "b3multi",
        /// AWS X-Ray.
        Xray = "xray",
        /// No propagation. Other values in the same list are ignored.
        None = "none",
    }
}

string_enum! {
    /// The least severe level of log lines that are written.
    pub(crate) LogLevel: "a log level" {
        /// Writes nothing.
        Off = "off",
        /// Writes errors.
        Error = "error",
        /// Writes warnings and above.
        Warn = "warn",
        /// Writes information and above.
        Info = "info",
        /// Writes debug messages and above.
        Debug = "debug",
        /// Writes everything.
        Trace = "trace",
    }
}

string_enum! {
    /// The traces whose log lines below `WARN` are written.
    pub(crate) LogTraces: "a choice of traces" {
        /// All traces.
        All = "all",
        /// Sampled traces.
        Sampled = "sampled",
    }
}

string_enum! {
    /// A boolean.
    pub(crate) Flag: "a boolean" {
        /// True.
        True = "true",
        /// False.
        False = "false",
    }
}

string_enum! {
    /// The compression of OTLP requests.
    pub(crate) Compression: "a compression" {
        /// gzip.
        Gzip = "gzip",
        /// No compression.
        None = "none",
    }
}
