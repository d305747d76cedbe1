//! A progress bar on a terminal, with the remaining time.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

const WIDTH: usize = 40;

pub(super) struct Progress {
    start: Instant,
    done: usize,
    steps: usize,
}

impl Progress {
    pub(super) fn new(steps: usize) -> Self {
        let progress = Self {
            start: Instant::now(),
            done: 0,
            steps,
        };
        progress.draw();
        progress
    }

    pub(super) fn advance(&mut self) {
        self.done += 1;
        self.draw();
    }

    /// Draws the bar on stderr. Without a terminal, nothing is drawn.
    fn draw(&self) {
        let mut out = io::stderr();
        if !out.is_terminal() {
            return;
        }
        let _ = match self.done {
            done if done == self.steps => write!(out, "\r\x1b[K"),
            _ => write!(out, "\r\x1b[K{}", self.line()),
        };
    }

    fn line(&self) -> String {
        let full = WIDTH * self.done / self.steps;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full));
        let per_step = self
            .start
            .elapsed()
            .checked_div(u32::try_from(self.done).unwrap_or(0));
        let left = u32::try_from(self.steps - self.done).unwrap_or(u32::MAX);
        match per_step {
            Some(per_step) => format!("{bar} {} s left", (per_step * left).as_secs()),
            None => bar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_the_fraction_of_the_steps() {
        let progress = |done| Progress {
            start: Instant::now(),
            done,
            steps: 8,
        };
        for (done, full) in [(0, 0), (4, 20), (8, 40)] {
            let line = progress(done).line();
            assert_eq!(line.matches('█').count(), full, "{line}");
        }
        assert!(progress(1).line().ends_with(" 0 s left"));
    }
}
