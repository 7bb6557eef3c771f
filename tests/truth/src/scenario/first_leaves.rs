//! A program whose first thread leaves by itself, while others run on.

use std::time::Duration;
use std::{fs, process, thread};

use anyhow::{Context, Result, bail};

use super::work::rounds;
use super::{Deadline, multi_thread_runtime};
use crate::stage::Stage;

pub(super) fn run(stage: &Stage) -> Result<()> {
    let stage = stage.clone();
    stage.go()?;
    let second = thread::spawn(move || {
        let code = match live_on(&stage) {
            Ok(true) => 0,
            Ok(false) => 3,
            Err(error) => {
                eprintln!("truth: {error:#}");
                1
            }
        };
        process::exit(code)
    });
    drop(second);
    // SAFETY: this thread alone ends here, and nothing of it is used by others: the stage was cloned.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    bail!("the first thread does not leave")
}

fn live_on(stage: &Stage) -> Result<bool> {
    while !has_left()? {
        thread::sleep(Duration::from_millis(1));
    }
    multi_thread_runtime(2)?.block_on(rounds(Deadline::after(stage.seconds), 4));
    Ok(stage.done()?)
}

/// Whether the first thread is a zombie.
fn has_left() -> Result<bool> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    Ok(stat.rsplit_once(") ").context("no state")?.1.starts_with('Z'))
}
