//! Requests at random times that do not depend on responses.
//!
//! A closed loop sends the next request after the response to the last one, so a slow response delays requests and hides
//! the time that their users would have waited.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::connection::Connection;
use crate::BoxError;

/// The time limit of a block to wait for its last responses.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub(super) struct OpenLoop {
    rate: f64,
}

struct Request {
    due: Instant,
    bytes: Vec<u8>,
}

impl OpenLoop {
    pub(super) const fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Sends all requests. Returns the seconds from the time when each request was due to its response.
    pub(super) fn send(
        self,
        connections: &mut [Connection],
        requests: Vec<Vec<u8>>,
    ) -> Result<Vec<f64>, BoxError> {
        let mut times = Vec::with_capacity(requests.len());
        let mut due = Instant::now();
        let mut waiting: VecDeque<Request> = requests
            .into_iter()
            .map(|bytes| {
                due += self.gap(fastrand::f64());
                Request { due, bytes }
            })
            .collect();
        let deadline = due + TIMEOUT;
        let mut idle: Vec<&mut Connection> = connections.iter_mut().collect();
        let mut busy: Vec<(&mut Connection, Instant)> = Vec::new();
        while !waiting.is_empty() || !busy.is_empty() {
            let now = Instant::now();
            if now > deadline {
                return Err("responses did not arrive in time".into());
            }
            if waiting.front().is_some_and(|request| request.due <= now)
                && let Some(connection) = idle.pop()
                && let Some(request) = waiting.pop_front()
            {
                connection.send(&request.bytes)?;
                busy.push((connection, request.due));
            }
            let mut at = 0;
            while let Some((connection, due)) = busy.get_mut(at) {
                if connection.poll()? {
                    times.push(due.elapsed().as_secs_f64());
                    idle.push(busy.swap_remove(at).0);
                } else {
                    at += 1;
                }
            }
        }
        Ok(times)
    }

    /// Returns the time to the next request of a Poisson process. `random` is between 0 and 1.
    fn gap(self, random: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - random).ln() / self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_gap_is_that_of_the_rate() {
        let load = OpenLoop::new(50.0);
        let gaps = (0..1000).map(|at| load.gap((f64::from(at) + 0.5) / 1000.0));
        let mean = gaps.sum::<Duration>().as_secs_f64() / 1000.0;
        assert!((mean - 0.02).abs() < 0.0002, "{mean}");
    }
}
