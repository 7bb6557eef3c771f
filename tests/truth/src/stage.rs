//! The start and end signals, so that an agent can attach before anything happens.

use std::io::{self, Write};

use crate::log;

/// What the command line asks of every scenario.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Start at once and exit at once; standard input is not read.
    pub(crate) immediately: bool,
    /// How long to work, in seconds.
    pub(crate) seconds: f64,
}

impl Stage {
    /// Says `ready` and waits for a line, by a plain blocking read.
    pub(crate) fn go(&self) -> io::Result<()> {
        if !self.immediately {
            say(&format!("ready {}", std::process::id()))?;
            wait_for_line()?;
        }
        log::go();
        Ok(())
    }

    /// Prints the truth, says `done` and waits for a line or the end of input. Returns whether the
    /// truth is consistent.
    pub(crate) fn done(&self) -> io::Result<bool> {
        log::settle();
        let mut out = io::BufWriter::new(io::stdout().lock());
        let wrongs = log::print(&mut out)?;
        writeln!(out, "done")?;
        out.flush()?;
        drop(out);
        if !self.immediately {
            wait_for_line()?;
        }
        Ok(wrongs == 0)
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn wait_for_line() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}
