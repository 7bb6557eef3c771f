//! Targets to attach to again and again: one that works and checks its answers, one that idles.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep;

use super::{Deadline, multi_thread_runtime};
use crate::log;
use crate::stage::Stage;

/// Works from the start signal until the next line (or for the given seconds, with
/// `--immediately`), and logs only how many answers it computed: its memory stays as it is.
pub(super) fn run(stage: &Stage) -> Result<()> {
    stage.go()?;
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let runtime = multi_thread_runtime(2)?;
    for _ in 0..4 {
        runtime.spawn(ask(Arc::clone(&stop), Arc::clone(&answers)));
    }
    if stage.immediately {
        let deadline = Deadline::after(stage.seconds);
        while deadline.open() {
            std::thread::sleep(Duration::from_millis(10));
        }
    } else {
        io::stdin().read_line(&mut String::new())?;
    }
    stop.store(true, Ordering::Relaxed);
    drop(runtime);
    log::fact(json!({ "answers": answers.load(Ordering::Relaxed) }));
    Ok(())
}

async fn ask(stop: Arc<AtomicBool>, answers: Arc<AtomicU64>) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n = (n + 1) % 100;
        // A runtime that is shut down ends the tasks that answer.
        if answer(n).await != n * (n + 1) / 2 + n && !stop.load(Ordering::Relaxed) {
            log::wrong(&format!("the sum up to {n} is another"));
        }
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// 0 + 1 + … + n by a task and a channel, and n once more by the blocking pool.
async fn answer(n: u64) -> u64 {
    let (sender, mut receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        for k in 0..=n {
            yield_now().await;
            if sender.send(k).await.is_err() {
                return;
            }
        }
    });
    let mut sum = 0;
    while let Some(k) = receiver.recv().await {
        sum += k;
    }
    sleep(Duration::from_micros(200)).await;
    sum + spawn_blocking(move || n).await.unwrap_or(u64::MAX / 2)
}

/// A runtime that hardly does anything, until the end of input.
pub(super) fn idle(stage: &Stage) -> Result<()> {
    let runtime = multi_thread_runtime(2)?;
    runtime.spawn(async {
        loop {
            sleep(Duration::from_millis(100)).await;
        }
    });
    stage.go()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
