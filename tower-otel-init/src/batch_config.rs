//! The `OTEL_BSP_*` and `OTEL_BLRP_*` variables: batches of spans and of log records.

use std::time::Duration;

use crate::env::Env;
use crate::error::InitError;
use crate::settings::Settings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchConfig {
    pub(crate) queue_size: usize,
    pub(crate) batch_size: usize,
    pub(crate) schedule_delay: Duration,
    pub(crate) export_timeout: Duration,
}

const MAX_SPANS: usize = 1 << 24;
/// The SDK allocates the whole queue of log records at the start, 16 bytes each.
const MAX_LOG_RECORDS: usize = 1 << 20;

impl BatchConfig {
    /// Returns the configuration of span batches. Settings in code take precedence over `OTEL_BSP_*`.
    pub(crate) fn spans(settings: &Settings, env: &mut Env<'_>) -> Result<Self, InitError> {
        let (queue_size, batch_size) = (settings.queue_size, settings.batch_size);
        for (name, size) in [("queue_size", queue_size), ("batch_size", batch_size)] {
            if size == Some(0) {
                let reason = "is not a size (expected at least 1)";
                return Err(InitError::invalid_value(name, "0", reason));
            }
        }
        let config = Self::resolve("BSP", MAX_SPANS, 5_000, queue_size, batch_size, env);
        let delay = settings.schedule_delay.unwrap_or(config.schedule_delay);
        Ok(Self {
            schedule_delay: delay.max(Duration::from_millis(1)),
            ..config
        })
    }

    /// Returns the configuration of log record batches.
    pub(crate) fn log_records(env: &mut Env<'_>) -> Self {
        Self::resolve("BLRP", MAX_LOG_RECORDS, 1_000, None, None, env)
    }

    fn resolve(
        prefix: &str,
        max_size: usize,
        default_delay: u64,
        queue_size: Option<usize>,
        batch_size: Option<usize>,
        env: &mut Env<'_>,
    ) -> Self {
        let name = |suffix: &str| format!("OTEL_{prefix}_{suffix}");
        let size = |text: &str, max: usize| {
            let size = text.parse().ok();
            size.filter(|size| (1..=max).contains(size))
        };
        let queue_variable = name("MAX_QUEUE_SIZE");
        let queue_size = queue_size.unwrap_or_else(|| {
            env.first_valid(
                &[&queue_variable],
                |text| size(text, max_size),
                &format!("is not a size (expected a whole number from 1 to {max_size})"),
                2048,
            )
        });
        let batch_size = match batch_size {
            Some(size) => size.min(queue_size),
            None => env.first_valid(
                &[&name("MAX_EXPORT_BATCH_SIZE")],
                |text| size(text, queue_size.min(max_size)),
                &format!(
                    "is not a size (expected a whole number from 1 to {queue_size}, the queue size)"
                ),
                queue_size.min(512),
            ),
        };
        Self {
            queue_size,
            batch_size,
            schedule_delay: env.first_millis(&[&name("SCHEDULE_DELAY")], default_delay),
            export_timeout: env.first_millis(&[&name("EXPORT_TIMEOUT")], 30_000),
        }
    }
}
