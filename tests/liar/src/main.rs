//! A program whose memory lies about its tasks. One runtime is honest, and proves that the program lives on. What
//! another one holds, which runs nothing any more, is overwritten all the time with what misleads most; and polls
//! are reports of tasks that there never were, by a task vtable that is none.

mod forged;
mod victims;

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Answers of the honest runtime.
static ANSWERS: AtomicU64 = AtomicU64::new(0);

fn runtime(workers: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(workers).enable_all().thread_name("\u{1b}]0;x\u{7}</svg>").build()
}

async fn honest_work() {
    loop {
        let answer = tokio::spawn(async { tokio::time::sleep(Duration::from_millis(1)).await });
        ANSWERS.fetch_add(u64::from(answer.await.is_ok()), Ordering::Relaxed);
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn main() -> std::io::Result<ExitCode> {
    let (honest, lying) = (runtime(1)?, runtime(1)?);
    honest.spawn(honest_work());
    let victims = victims::start(&lying);
    say(&format!("ready {}", std::process::id()))?;
    let mut lines = stdin().lock().lines();
    // The runtime is left as it is: it could not even be dropped.
    std::mem::forget(lying);
    std::thread::spawn(move || victims.lie());
    std::thread::spawn(forged::report);
    while let Some(Ok(_)) = lines.next() {
        say(&format!("answers {}", ANSWERS.load(Ordering::Relaxed)))?;
    }
    std::process::exit(0)
}
