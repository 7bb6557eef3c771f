//! Tasks alive before anyone attaches: waiting, inside a poll, on the blocking pool, in a `LocalSet`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::work::{family, join_all, rounds};
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::log;
use crate::spawn::{Spawned, spawn, spawn_blocking_on, spawn_local, spawn_on};
use crate::stage::Stage;

pub(super) fn run(stage: &Stage) -> Result<()> {
    let runtime = multi_thread_runtime(4)?;
    let (go, gone) = watch::channel(false);
    let (release, releases): (Vec<_>, Vec<_>) = (0..2).map(|_| channel::<()>()).unzip();
    let mut early: Vec<_> = (0..5).map(|_| spawn_on(runtime.handle(), waits(gone.clone()))).collect();
    early.extend(inside_polls(runtime.handle(), releases)?);
    let root = in_a_root_future(gone)?;
    while early.iter().any(|task| task.polls() == 0) {
        thread::sleep(Duration::from_millis(1));
    }
    // The tasks have begun their polls; give those that wait time to get out of them.
    thread::sleep(Duration::from_millis(50));
    stage.go()?;
    wake(&go, &release)?;
    runtime.block_on(async {
        join_all(early).await;
        rounds(Deadline::after(stage.seconds), 4).await;
    });
    if root.join().is_err() {
        log::wrong("the thread with a root future panicked");
    }
    Ok(())
}

fn wake(go: &watch::Sender<bool>, release: &[Sender<()>]) -> Result<()> {
    go.send(true)?;
    release.iter().try_for_each(|sender| Ok(sender.send(())?))
}

async fn gone(mut go: watch::Receiver<bool>) {
    if go.wait_for(|gone| *gone).await.is_err() {
        log::wrong("no start signal");
    }
}

async fn waits(go: watch::Receiver<bool>) {
    gone(go).await;
    for _ in 0..20 {
        spawn(family(2)).join().await;
    }
}

/// A task whose first poll, and a closure whose only one, lasts until the signal, then spawns.
fn inside_polls(runtime: &Handle, mut signals: Vec<Receiver<()>>) -> Result<[Spawned<()>; 2]> {
    let (first, second) = (signals.pop().context("a signal")?, signals.pop().context("a signal")?);
    let handle = runtime.clone();
    Ok([
        spawn_on(runtime, async move {
            let child = first.recv().map(|()| spawn(family(2)));
            if let Ok(child) = child {
                child.join().await;
            }
            spawn(family(2)).join().await;
        }),
        spawn_blocking_on(runtime, move || {
            let child = second.recv().map(|()| spawn_on(&handle, family(2)));
            if let Ok(child) = child {
                handle.block_on(child.join());
            }
        }),
    ])
}

/// A thread inside `block_on`, with a `LocalSet` whose task waits as well.
fn in_a_root_future(go: watch::Receiver<bool>) -> Result<thread::JoinHandle<()>> {
    let runtime = current_thread_runtime()?;
    Ok(thread::Builder::new().name("root".to_owned()).spawn(move || {
        let set = LocalSet::new();
        set.block_on(&runtime, async {
            let local = spawn_local(waits(go.clone()));
            gone(go).await;
            spawn(family(2)).join().await;
            local.join().await;
        });
        drop(Arc::new(runtime));
    })?)
}
