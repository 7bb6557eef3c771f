//! Tasks that block their thread inside a poll, and which tasks that thread takes next.
//!
//! Each round, a handler makes other tasks ready and then sleeps, all in one poll. Whoever is polled next on the
//! very thread that slept was ready all the time and could not be polled there: the handler delayed it. Each task
//! says on which thread it was polled.

use std::fs;
use std::io::stdin;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::log::id;
use crate::say;

const HELD: Duration = Duration::from_millis(50);
const ROUNDS: usize = 5;

/// A task that says the thread of its poll.
type Tells = JoinHandle<u64>;

async fn behind() -> u64 {
    tid()
}

async fn woken(wake: oneshot::Receiver<()>) -> u64 {
    let _ = wake.await;
    tid()
}

/// The thread, the line in which it slept, and tasks that it spawned before.
async fn handler(wake: oneshot::Sender<()>) -> (u64, u32, Vec<Tells>) {
    let behind = (0..3).map(|_| tokio::spawn(behind())).collect();
    let _ = wake.send(());
    let line = line!() + 1;
    thread::sleep(HELD);
    (tid(), line, behind)
}

/// Waits for a line, then has handlers block, some of them in a runtime of one thread. Of each it says its id, the
/// line, and the tasks that it delayed.
pub(crate) async fn run() -> Result<()> {
    say("started")?;
    stdin().read_line(&mut String::new())?;
    for _ in 0..ROUNDS {
        round().await?;
    }
    let alone = thread::spawn(|| -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            for _ in 0..ROUNDS {
                round().await?;
            }
            Ok(())
        })
    });
    tokio::task::spawn_blocking(|| alone.join()).await?.map_err(|_| anyhow::anyhow!("a runtime panicked"))?
}

async fn round() -> Result<()> {
    let (wake, waits) = oneshot::channel();
    let woken = tokio::spawn(woken(waits));
    // So that it is waiting.
    tokio::task::yield_now().await;
    let handler = tokio::spawn(handler(wake));
    let culprit = id(&handler.abort_handle());
    let (slept_on, line, mut others) = handler.await?;
    others.push(woken);
    let mut delayed = Vec::new();
    for other in others {
        let id = id(&other.abort_handle());
        if other.await? == slept_on {
            delayed.push(id);
        }
    }
    Ok(say(&format!("holds {culprit} {line} {}", delayed.join(",")))?)
}

fn tid() -> u64 {
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    link.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}
