//! How far it is, for somebody at a terminal.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use tokio::time;

use crate::traffic::Pace;

const WIDTH: usize = 40;

/// Draws a bar while something runs, and takes it away again.
pub(super) async fn shown<T>(pace: &Pace, running: impl Future<Output = T>) -> T {
    let mut running = pin!(running);
    let is_seen = io::stderr().is_terminal();
    let mut redraw = time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            done = &mut running => {
                if is_seen {
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
                return done;
            }
            _ = redraw.tick(), if is_seen => {
                let bar = bar(pace.progress());
                let _ = write!(io::stderr(), "\r{bar} {} requests", pace.tally().sent());
            }
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn bar(progress: f64) -> String {
    let full = ((progress.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
    format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_time_is_over() {
        for (progress, full) in [(0.0, 0), (0.5, 20), (1.0, 40), (7.0, 40)] {
            let bar = bar(progress);
            assert_eq!(bar.chars().filter(|own| *own == '█').count(), full);
            assert_eq!(bar.chars().count(), WIDTH);
        }
    }
}
