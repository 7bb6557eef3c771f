//! A process that becomes another program: in peace, and from the middle of a poll.

use std::io::{self, Write};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Result;
use tokio::task::yield_now;

use super::work::rounds;
use super::{Deadline, multi_thread_runtime};
use crate::log;
use crate::stage::Stage;

/// Works, tells the truth of it, and becomes `cat` at the next line.
pub(super) fn into_other(stage: &Stage) -> Result<()> {
    stage.go()?;
    multi_thread_runtime(2)?.block_on(rounds(Deadline::after(stage.seconds), 4));
    log::settle();
    let mut out = io::stdout().lock();
    log::print(&mut out)?;
    writeln!(out, "done")?;
    out.flush()?;
    io::stdin().read_line(&mut String::new())?;
    Err(Command::new("cat").exec().into())
}

/// Becomes this program once more, inside a poll and with all its tasks under way.
pub(super) fn into_itself(stage: &Stage) -> Result<()> {
    stage.go()?;
    let runtime = multi_thread_runtime(2)?;
    for _ in 0..20 {
        runtime.spawn(async {
            loop {
                yield_now().await;
            }
        });
    }
    io::stdin().read_line(&mut String::new())?;
    let program = std::env::current_exe()?;
    let other = runtime.spawn(async move { Command::new(program).arg("load").exec() });
    Err(runtime.block_on(other)?.into())
}
