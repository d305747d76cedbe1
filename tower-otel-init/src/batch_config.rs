//! How spans and log records are gathered: the `OTEL_BSP_*` and `OTEL_BLRP_*` variables.

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
    pub(crate) fn spans(settings: &Settings, env: &mut Env<'_>) -> Result<Self, InitError> {
        let (queue_size, batch_size) = (settings.queue_size, settings.batch_size);
        for (name, size) in [("queue_size", queue_size), ("batch_size", batch_size)] {
            if size == Some(0) {
                return Err(unacceptable(name, "0", COUNT));
            }
        }
        let found = Self::resolve("BSP", 5_000, queue_size, batch_size, env);
        let delay = settings.schedule_delay.unwrap_or(found.schedule_delay);
        Ok(Self {
            schedule_delay: delay.max(Duration::from_millis(1)),
            ..found
        })
    }

    pub(crate) fn records(env: &mut Env<'_>) -> Self {
        Self::resolve("BLRP", 1_000, None, None, env)
    }

    /// The sizes are those of the code, if it says any.
    fn resolve(
        prefix: &str,
        delay: u64,
        queue_size: Option<usize>,
        batch_size: Option<usize>,
        env: &mut Env<'_>,
    ) -> Self {
        let name = |what: &str| format!("OTEL_{prefix}_{what}");
        let queue = name("MAX_QUEUE_SIZE");
        let queue_size =
            queue_size.unwrap_or_else(|| env.first(&[&queue], positive_count, COUNT, 2048));
        let fits = |size: usize| (size <= queue_size).then_some(size);
        let batch_size = match batch_size {
            Some(size) => size.min(queue_size),
            None => env.first(
                &[&name("MAX_EXPORT_BATCH_SIZE")],
                |text| positive_count(text).and_then(fits),
                &format!("{COUNT}, and at most {queue}"),
                queue_size.min(512),
            ),
        };
        Self {
            queue_size,
            batch_size,
            schedule_delay: env.millis(&name("SCHEDULE_DELAY"), delay),
            export_timeout: env.millis(&name("EXPORT_TIMEOUT"), 30_000),
        }
    }
}

fn positive_count(text: &str) -> Option<usize> {
    text.parse()
        .ok()
        .filter(|count| (1..=1 << 24).contains(count))
}
