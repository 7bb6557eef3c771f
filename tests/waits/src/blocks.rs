//! Tasks that block inside their polls, and how often for at least [`HELD`].
//!
//! What a task waits for comes only after its thread was seen asleep, and then at least [`HELD`] later: so the
//! thread is off the CPU at least that long, however busy the machine is.

use std::fs;
use std::io::{Read as _, Write as _, pipe, stdin};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};

use crate::log::id;
use crate::say;

/// How long each block takes at least.
const HELD: Duration = Duration::from_millis(20);
/// How often each task blocks, each time in a poll of its own.
const TIMES: u32 = 5;

/// Waits for a line, and has tasks block; says of each its name, its id, and how many of its polls are off the CPU for
/// how many nanoseconds at least.
pub(crate) async fn run() -> Result<()> {
    say("started")?;
    stdin().read_line(&mut String::new())?;
    report("sleeps", TIMES, tokio::spawn(sleeps())).await?;
    report("locks", TIMES, tokio::spawn(locks())).await?;
    report("reads", TIMES, tokio::spawn(reads())).await?;
    report("closure", 1, spawn_blocking(closure)).await?;
    report("yields", 0, tokio::spawn(yields())).await?;
    report("waits", 0, tokio::spawn(waits())).await?;
    stuck()
}

async fn report(name: &str, times: u32, task: JoinHandle<Result<()>>) -> Result<()> {
    let id = id(&task.abort_handle());
    task.await??;
    said(name, &id, times)
}

fn said(name: &str, id: &str, times: u32) -> Result<()> {
    Ok(say(&format!("blocks {name} {id} {times} {}", HELD.as_nanos()))?)
}

async fn sleeps() -> Result<()> {
    for _ in 0..TIMES {
        thread::sleep(HELD);
        yield_now().await;
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several that are reported alike")]
fn closure() -> Result<()> {
    thread::sleep(HELD);
    Ok(())
}

async fn locks() -> Result<()> {
    for _ in 0..TIMES {
        let lock = Arc::new(Mutex::new(()));
        let (held, is_held) = mpsc::channel();
        let waiting = Waiting::default();
        let (theirs, seen) = (Arc::clone(&lock), waiting.clone());
        thread::spawn(move || {
            let _guard = theirs.lock();
            let _ = held.send(());
            seen.hold();
        });
        while is_held.try_recv().is_err() {
            yield_now().await;
        }
        waiting.here();
        drop(lock.lock());
        yield_now().await;
    }
    Ok(())
}

async fn reads() -> Result<()> {
    for _ in 0..TIMES {
        let (mut from, mut to) = pipe()?;
        let waiting = Waiting::default();
        let seen = waiting.clone();
        thread::spawn(move || {
            seen.hold();
            to.write_all(b"x")
        });
        waiting.here();
        from.read_exact(&mut [0])?;
        yield_now().await;
    }
    Ok(())
}

/// Many polls, and none of them blocks.
async fn yields() -> Result<()> {
    for _ in 0..100 {
        yield_now().await;
    }
    Ok(())
}

/// Waits as long as others block, but not on its thread.
async fn waits() -> Result<()> {
    for _ in 0..TIMES {
        tokio::time::sleep(HELD).await;
    }
    Ok(())
}

/// A task that blocks for good.
fn stuck() -> Result<()> {
    let (mut from, to) = pipe()?;
    let waiting = Waiting::default();
    let theirs = waiting.clone();
    let task = tokio::spawn(async move {
        theirs.here();
        let _ = from.read(&mut [0]);
    });
    waiting.hold();
    // Nobody ever writes, and nobody closes it.
    std::mem::forget(to);
    said("stuck", &id(&task.abort_handle()), 1)
}

/// The thread that is about to block; 0 before it is.
#[derive(Clone, Default)]
struct Waiting(Arc<AtomicI32>);

impl Waiting {
    fn here(&self) {
        let link = fs::read_link("/proc/thread-self").unwrap_or_default();
        let tid = link.file_name().and_then(|name| name.to_str()?.parse().ok());
        self.0.store(tid.unwrap_or(0), Ordering::Release);
    }

    /// Until the thread sleeps, and [`HELD`] longer.
    fn hold(&self) {
        while !is_asleep(self.0.load(Ordering::Acquire)) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(HELD);
    }
}

fn is_asleep(tid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
}
