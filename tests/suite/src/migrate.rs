//! Compiles the code of the migration guides.

#[doc = include_str!("../../../docs/migrate/axum-prometheus.md")]
pub struct AxumPrometheus;

#[doc = include_str!("../../../docs/migrate/axum-tracing-opentelemetry.md")]
pub struct AxumTracingOpentelemetry;

#[doc = include_str!("../../../docs/migrate/opentelemetry-instrumentation-tower.md")]
pub struct OpentelemetryInstrumentationTower;

#[doc = include_str!("../../../docs/migrate/reqwest-tracing.md")]
pub struct ReqwestTracing;

#[doc = include_str!("../../../docs/migrate/tower-http-trace.md")]
pub struct TowerHttpTrace;

#[doc = include_str!("../../../docs/migrate/tracing-opentelemetry.md")]
pub struct TracingOpentelemetry;
