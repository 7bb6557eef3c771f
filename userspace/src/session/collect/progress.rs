//! A line on the terminal while a target is watched.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use asyncscope_model::Totals;

/// The line, or nothing where standard error is no terminal.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self(ProgressBar::new_spinner().with_style(style))
    }

    pub(super) fn update(&self, totals: &Totals) {
        let Totals { tasks, polls, wakes, lost, .. } = totals;
        let lost = if *lost == 0 { String::new() } else { format!(", {lost} events LOST") };
        self.0.set_message(format!("{tasks} tasks, {polls} polls, {wakes} wakes{lost} — Ctrl-C ends"));
        self.0.tick();
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
