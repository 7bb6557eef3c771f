//! A process at the limit of its descriptors, and one that needs no more memory than it has from the start.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::work::rounds;
use super::{Deadline, multi_thread_runtime};
use crate::log;
use crate::stage::Stage;

const DESCRIPTORS: u64 = 64;

pub(super) fn no_descriptors(deadline: Deadline) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: DESCRIPTORS, rlim_max: DESCRIPTORS };
    // SAFETY: the limit is live for the call, which only reads it.
    ensure!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0, io::Error::last_os_error());
    let runtime = multi_thread_runtime(2)?;
    let mut open = Vec::new();
    let refused = loop {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) => break error,
        }
    };
    ensure!(refused.raw_os_error() == Some(libc::EMFILE), refused);
    runtime.block_on(rounds(deadline, 8));
    Ok(())
}

/// In bytes: what a cgroup's memory is full of.
const BALLAST: usize = 32 << 20;
const TASKS: usize = 8;

/// Gets ready only when it has all its memory, and works until the next line.
pub(super) fn steady(stage: &Stage) -> Result<()> {
    let ballast = vec![1_u8; BALLAST];
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let runtime = multi_thread_runtime(2)?;
    for _ in 0..TASKS {
        let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
        runtime.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(1)).await;
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    stage.go()?;
    io::stdin().read_line(&mut String::new())?;
    stop.store(true, Ordering::Relaxed);
    drop((runtime, std::hint::black_box(ballast)));
    log::fact(json!({ "answers": answers.load(Ordering::Relaxed) }));
    Ok(())
}
