//! Tasks that the runtime's drivers wake through the wakers of another library.

use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream as Plain};
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt as _;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::log::{self, By};
use crate::spawn::{Spawned, spawn};

/// Bounds the log.
const MAX_ROUNDS: u64 = 20;
const SHORT: Duration = Duration::from_millis(2);

pub(super) fn run(deadline: Deadline) -> Result<()> {
    for _ in (0..MAX_ROUNDS).take_while(|_| deadline.open()) {
        round(&current_thread_runtime()?)?;
        round(&multi_thread_runtime(1)?)?;
        round(&multi_thread_runtime(4)?)?;
    }
    Ok(())
}

fn round(runtime: &Runtime) -> Result<()> {
    runtime.block_on(async {
        beside_short_tasks().await;
        by(spawn(unordered((0..4).map(|_| sleep(SHORT)))), &[By::Time, By::Itself]).await;
        by(spawn(buffered()), &[By::Time, By::Itself]).await;
        shared(sleep(SHORT), By::Time).await;
        let (one, other) = (late_byte()?, late_byte()?);
        by(spawn(unordered([one, other])), &[By::Io, By::Itself]).await;
        shared(late_byte()?, By::Io).await;
        Ok(())
    })
}

/// The tasks that the future of `block_on` awaits complete, and wake it; it does not wake the sleeper.
async fn beside_short_tasks() {
    let sleeper = spawn(async {
        for _ in 0..5 {
            unordered((0..2).map(|_| sleep(SHORT))).await;
        }
    });
    let id = sleeper.id();
    for _ in 0..8 {
        spawn(async {}).join().await;
        sleep(SHORT).await;
    }
    sleeper.join().await;
    log::woken(id, vec![By::Time, By::Itself]);
}

async fn unordered(futures: impl IntoIterator<Item = impl Future>) {
    let mut futures: FuturesUnordered<_> = futures.into_iter().collect();
    while futures.next().await.is_some() {}
}

async fn buffered() {
    stream::iter(0..8).map(|_| sleep(SHORT)).buffer_unordered(3).for_each(|()| async {}).await;
}

/// Two tasks wait for one future. The one that finds it done wakes the other as well.
async fn shared<F>(future: F, driver: By)
where
    F: Future<Output: Clone + Send + Sync> + Send + 'static,
{
    let shared = future.shared();
    let tasks = [spawn(shared.clone()), spawn(shared)];
    let ids = tasks.each_ref().map(Spawned::id);
    for task in tasks {
        task.join().await;
    }
    for (id, other) in [(ids[0], ids[1]), (ids[1], ids[0])] {
        log::woken(id, vec![driver, By::Itself, By::Task(other)]);
    }
}

async fn by(task: Spawned<()>, by: &[By]) {
    log::woken(task.id(), by.to_vec());
    task.join().await;
}

/// A read of a byte that a plain thread writes after a while.
fn late_byte() -> Result<impl Future<Output = u8> + Send + 'static> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ours = Plain::connect(listener.local_addr()?)?;
    let (mut theirs, _) = listener.accept()?;
    ours.set_nonblocking(true)?;
    let mut ours = TcpStream::from_std(ours)?;
    std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        if theirs.write_all(&[7]).is_err() {
            log::wrong("nobody reads the byte");
        }
    });
    Ok(async move { ours.read_u8().await.unwrap_or_default() })
}
