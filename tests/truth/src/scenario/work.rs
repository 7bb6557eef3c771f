//! Work that the scenarios share: small families of tasks that wait on each other.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::Deadline;
use crate::log;
use crate::spawn::{Spawned, spawn};

/// A task that spawns `children`, hears from each and joins them.
pub(crate) async fn family(children: u64) -> u64 {
    yield_now().await;
    let (sender, mut receiver) = mpsc::channel(1);
    let kids: Vec<_> = (0..children).map(|n| spawn(child(n, sender.clone()))).collect();
    drop(sender);
    let mut sum = 0;
    while let Some(n) = receiver.recv().await {
        sum += n;
    }
    join_all(kids).await;
    sleep(Duration::from_millis(1)).await;
    sum
}

async fn child(n: u64, parent: mpsc::Sender<u64>) {
    for _ in 0..n {
        yield_now().await;
    }
    // A parent that its runtime's end took away hears nothing; one that lives checks its sum.
    let _heard = parent.send(n).await;
}

/// Families, `width` at a time, until the deadline; each sum is checked.
pub(crate) async fn rounds(deadline: Deadline, width: usize) {
    while deadline.open() {
        let families: Vec<_> = (0..width).map(|_| spawn(family(3))).collect();
        for family in families {
            if family.join().await != Some(3) {
                log::wrong("a family lost a message");
            }
        }
    }
}

pub(crate) async fn join_all<T>(tasks: impl IntoIterator<Item = Spawned<T>>) {
    for task in tasks {
        task.join().await;
    }
}
