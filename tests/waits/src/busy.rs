//! Tasks in motion, each in one of few places at any time.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::log::spawn;
use crate::trail::{Trail, here};

/// Reports every place there is, and then keeps going through them all.
pub(crate) fn start() {
    for name in ["busy_1", "busy_2", "busy_3", "busy_4"] {
        let (sender, receiver) = mpsc::channel(4);
        drop(spawn(name, |trail| produce(trail, sender)));
        drop(spawn(name, |trail| consume(trail, receiver)));
    }
}

async fn produce(trail: Trail, sender: mpsc::Sender<u64>) {
    for n in 0.. {
        let trail = if n == 0 { trail.clone() } else { Trail::default() };
        trail.at(here!(), |trail| deliver(trail, &sender, n)).await;
        trail.at(here!(), |trail| rest(trail, n)).await;
    }
}

async fn deliver(trail: Trail, sender: &mpsc::Sender<u64>, n: u64) {
    trail.leaf(here!(), "mpsc::Sender", sender.send(n)).await.unwrap_or_default();
}

async fn rest(trail: Trail, n: u64) {
    if n.is_multiple_of(64) {
        trail.leaf(here!(), "Sleep", sleep(Duration::from_micros(100))).await;
    }
    trail.leaf(here!(), "tokio::task::yield_now::yield_now", yield_now()).await;
}

async fn consume(trail: Trail, mut receiver: mpsc::Receiver<u64>) {
    for n in 0.. {
        let trail = if n == 0 { trail.clone() } else { Trail::default() };
        trail.at(here!(), |trail| boxed(trail, &mut receiver)).await;
    }
}

fn boxed(trail: Trail, receiver: &mut mpsc::Receiver<u64>) -> Pin<Box<dyn Future<Output = Option<u64>> + Send + '_>> {
    Box::pin(next(trail, receiver))
}

async fn next(trail: Trail, receiver: &mut mpsc::Receiver<u64>) -> Option<u64> {
    trail.leaf(here!(), "mpsc::Receiver", receiver.recv()).await
}
