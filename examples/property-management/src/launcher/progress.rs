//! A progress bar on a terminal.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use tokio::time;

use crate::traffic::Pacer;

const WIDTH: usize = 40;

/// Shows a progress bar on stderr while a future runs. Without a terminal, nothing is shown.
pub(super) async fn with_bar<T>(pacer: &Pacer, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let is_terminal = io::stderr().is_terminal();
    let mut redraw = time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            output = &mut future => {
                if is_terminal {
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
                return output;
            }
            _ = redraw.tick(), if is_terminal => {
                let bar = bar(pacer.progress());
                let _ = write!(io::stderr(), "\r{bar} {} requests", pacer.status_counts().sent());
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
    fn the_bar_shows_the_elapsed_fraction() {
        for (progress, full) in [(0.0, 0), (0.5, 20), (1.0, 40), (7.0, 40)] {
            let bar = bar(progress);
            assert_eq!(bar.chars().filter(|char| *char == '█').count(), full);
            assert_eq!(bar.chars().count(), WIDTH);
        }
    }
}
