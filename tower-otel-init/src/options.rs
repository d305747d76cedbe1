//! The words a setting may have.

use std::fmt;

/// An enum whose variants are words of a variable.
macro_rules! words {
    ($(#[$about:meta])* $vis:vis $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$what])* $variant,)*
        }

        impl $name {
            /// What is accepted, for people.
            pub(crate) const ACCEPTED: &'static str = concat!("one of", $(" ", $word,)*);

            pub(crate) fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }

            #[allow(dead_code)]
            pub(crate) fn parse_any_case(word: &str) -> Option<Self> {
                Self::parse(&word.to_ascii_lowercase())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word,)*
                })
            }
        }
    };
}

words! {
    /// Where spans go.
    #[non_exhaustive]
    pub TracesExporter {
        /// To a collector, by OTLP.
        Otlp = "otlp",
        /// To the standard output, as a tree for each trace.
        Console = "console",
        /// Nowhere.
        None = "none",
    }
}

words! {
    /// Where metrics go.
    #[non_exhaustive]
    pub MetricsExporter {
        /// To a collector, by OTLP, with what is recorded by a meter of OpenTelemetry.
        Otlp = "otlp",
        /// To whoever asks [`Telemetry::prometheus`](crate::Telemetry), with what is recorded
        /// through the `metrics` facade.
        Prometheus = "prometheus",
        /// To the standard output, now and then, as the text of Prometheus.
        Console = "console",
        /// Nowhere.
        None = "none",
    }
}

words! {
    /// Where log records go beside the standard output, where the lines are.
    #[non_exhaustive]
    pub LogsExporter {
        /// To a collector, by OTLP.
        Otlp = "otlp",
        /// Nowhere else: the lines are there already.
        Console = "console",
        /// Nowhere else.
        None = "none",
    }
}

words! {
    /// How OTLP is spoken.
    #[non_exhaustive]
    pub Protocol {
        /// Over gRPC, to port 4317 unless told.
        Grpc = "grpc",
        /// Over HTTP with protobuf, to port 4318 unless told.
        HttpProtobuf = "http/protobuf",
    }
}

words! {
    /// How a log line looks.
    #[non_exhaustive]
    pub LogFormat {
        /// One JSON object in a line.
        Json = "json",
        /// For people.
        Pretty = "pretty",
    }
}

words! {
    /// A format for trace context.
    pub(crate) Propagator {
        /// W3C Trace Context, level 2.
        TraceContext = "tracecontext",
        /// W3C Baggage.
        Baggage = "baggage",
        /// Zipkin's, in one header.
        B3 = "b3",
        /// Zipkin's, in several headers.
        B3Multi = "b3multi",
        /// Amazon's.
        Xray = "xray",
        /// None; others are ignored beside it.
        None = "none",
    }
}

words! {
    /// The lowest level of log lines.
    pub(crate) LogLevel {
        /// No lines.
        Off = "off",
        /// Errors.
        Error = "error",
        /// And warnings.
        Warn = "warn",
        /// And what is of interest.
        Info = "info",
        /// And what helps to find errors.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// A flag.
    pub(crate) Flag {
        /// Yes.
        True = "true",
        /// No.
        False = "false",
    }
}

words! {
    /// A compression.
    pub(crate) Compression {
        /// Smaller.
        Gzip = "gzip",
        /// None.
        None = "none",
    }
}
