//! How spans are gathered: the `OTEL_BSP_*` variables.

use std::time::Duration;

use crate::InitError;
use crate::config::{Settings, unacceptable};
use crate::env::Env;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) queue_size: usize,
    pub(crate) batch_size: usize,
    pub(crate) schedule_delay: Duration,
    pub(crate) export_timeout: Duration,
}

const COUNT: &str = "a whole number above 0";

impl Batch {
    pub(crate) fn resolve(settings: &Settings, env: &mut Env<'_>) -> Result<Self, InitError> {
        let queue_size = match settings.queue_size {
            Some(0) => return Err(unacceptable("queue_size", "0", COUNT)),
            Some(size) => size,
            None => env.first(&["OTEL_BSP_MAX_QUEUE_SIZE"], positive_count, COUNT, 2048),
        };
        let fits = |size: usize| (size <= queue_size).then_some(size);
        let batch_size = match settings.batch_size {
            Some(0) => return Err(unacceptable("batch_size", "0", COUNT)),
            Some(size) => size.min(queue_size),
            None => env.first(
                &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
                |text| positive_count(text).and_then(fits),
                "a whole number above 0, and at most OTEL_BSP_MAX_QUEUE_SIZE",
                queue_size.min(512),
            ),
        };
        Ok(Self {
            queue_size,
            batch_size,
            schedule_delay: match settings.schedule_delay {
                Some(delay) => delay.max(Duration::from_millis(1)),
                None => env.millis("OTEL_BSP_SCHEDULE_DELAY", 5_000),
            },
            export_timeout: env.millis("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
        })
    }
}

fn positive_count(text: &str) -> Option<usize> {
    text.parse()
        .ok()
        .filter(|count| (1..=1 << 24).contains(count))
}
