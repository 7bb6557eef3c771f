//! A library that runs tasks on a tokio of its own, as a plugin or a database driver does: it shares nothing with
//! the tokio of the program that loads it, and counts its tasks from 1 as that one does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

static STOP: AtomicBool = AtomicBool::new(false);
static SPAWNED: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

/// Starts its runtime on threads of its own. Returns 0, or 1 where the system refuses a thread.
#[unsafe(no_mangle)]
pub extern "C" fn guest_start() -> u32 {
    let Ok(runtime) = Builder::new_multi_thread().worker_threads(2).thread_name("guest").enable_all().build() else {
        return 1;
    };
    u32::from(thread::Builder::new().name("guest".to_owned()).spawn(move || live(&runtime)).is_err())
}

/// Ends it, and returns how many tasks it spawned.
#[unsafe(no_mangle)]
pub extern "C" fn guest_stop() -> u64 {
    STOP.store(true, Ordering::Relaxed);
    while !DONE.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
    SPAWNED.load(Ordering::Relaxed)
}

fn live(runtime: &Runtime) {
    runtime.block_on(async {
        while !STOP.load(Ordering::Relaxed) {
            visit(3).await;
        }
    });
    DONE.store(true, Ordering::Release);
}

/// A task that has others, hears from each and waits.
async fn visit(friends: u64) {
    let (sender, mut receiver) = mpsc::channel(1);
    for n in 0..friends {
        SPAWNED.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(friend(n, sender.clone()));
    }
    drop(sender);
    while receiver.recv().await.is_some() {}
    sleep(Duration::from_micros(500)).await;
}

async fn friend(n: u64, host: mpsc::Sender<u64>) {
    for _ in 0..n {
        yield_now().await;
    }
    SPAWNED.fetch_add(1, Ordering::Relaxed);
    let at_home = tokio::spawn(async move { n });
    let _heard = host.send(at_home.await.unwrap_or_default()).await;
}
