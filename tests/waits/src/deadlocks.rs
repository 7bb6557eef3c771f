//! Tasks that wait for each other in a ring, and one that only looks like it.

use std::sync::Arc;

use tokio::sync::{Barrier, Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::log::spawn;
use crate::trail::{Trail, here};

pub(crate) async fn start() {
    let (one, other) = (Arc::new(Mutex::new(1_u64)), Arc::new(Mutex::new(2_u64)));
    let both = Arc::new(Barrier::new(2));
    let (a, b, barrier) = (Arc::clone(&one), Arc::clone(&other), Arc::clone(&both));
    drop(spawn("left", |trail| crossed(trail, a, b, barrier)));
    drop(spawn("right", |trail| crossed(trail, other, one, both)));
    drop(spawn("to_itself", to_itself));
    ring();
    let innocent = Arc::new(Mutex::new(0_u64));
    let held = Arc::clone(&innocent);
    let (locked, is_locked) = oneshot::channel();
    drop(spawn("holder", |trail| holds(trail, held, locked)));
    is_locked.await.unwrap_or_default();
    drop(spawn("waiter", |trail| awaits(trail, innocent)));
}

async fn crossed(trail: Trail, first: Arc<Mutex<u64>>, second: Arc<Mutex<u64>>, both: Arc<Barrier>) {
    let mine = first.lock().await;
    both.wait().await;
    let theirs = trail.leaf(here!(), "Mutex", second.lock()).await;
    drop((mine, theirs));
}

async fn to_itself(trail: Trail) {
    let (sender, mut receiver) = mpsc::channel::<u64>(1);
    for n in 0..2 {
        let trail = if n == 0 { Trail::default() } else { trail.clone() };
        trail.leaf(here!(), "mpsc::Sender", sender.send(n)).await.unwrap_or_default();
    }
    receiver.recv().await;
}

fn ring() {
    let (to_first, first) = oneshot::channel();
    let (to_second, second) = oneshot::channel();
    let (to_third, third) = oneshot::channel();
    let handles = [
        spawn("first", |t| joins(t, first)),
        spawn("second", |t| joins(t, second)),
        spawn("third", |t| joins(t, third)),
    ];
    let [first, second, third] = handles;
    drop(to_first.send(second));
    drop(to_second.send(third));
    drop(to_third.send(first));
}

async fn joins(trail: Trail, next: oneshot::Receiver<JoinHandle<()>>) {
    if let Ok(next) = next.await {
        drop(trail.leaf(here!(), "JoinHandle", next).await);
    }
}

async fn holds(trail: Trail, lock: Arc<Mutex<u64>>, locked: oneshot::Sender<()>) {
    let guard = lock.lock().await;
    locked.send(()).unwrap_or_default();
    trail.leaf(here!(), "Sleep", tokio::time::sleep(crate::FOREVER)).await;
    drop(guard);
}

async fn awaits(trail: Trail, lock: Arc<Mutex<u64>>) {
    drop(trail.leaf(here!(), "Mutex", lock.lock()).await);
}
