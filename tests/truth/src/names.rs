//! Futures whose names are looked for: spawned bare, called like a service's.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{mpsc, oneshot};

use crate::counted::Current;
use crate::log::Task;
use crate::scenario::multi_thread_runtime;
use crate::spawn::spawn_bare;

type Question = (u64, oneshot::Sender<u64>);

async fn fetch_user(me: Arc<Task>, id: u64, actor: mpsc::Sender<Question>) -> u64 {
    tokio::task::yield_now().await;
    let current = Current::enter(&me);
    let orders = spawn_bare("truth::names::fetch_orders", |_| fetch_orders(id));
    drop(current);
    let (reply, answer) = oneshot::channel();
    let sent = actor.send((id, reply)).await.is_ok();
    let audited = if sent { answer.await.unwrap_or(0) } else { 0 };
    audited + orders.join().await.unwrap_or(0)
}

async fn fetch_orders(id: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    black_box(id * 7)
}

async fn audit_log(mut questions: mpsc::Receiver<Question>) -> u64 {
    let mut answered = 0;
    while let Some((id, reply)) = questions.recv().await {
        answered += u64::from(reply.send(black_box(id + 1)).is_ok());
    }
    answered
}

/// Spawns each of them, from the root and from each other.
pub(crate) fn run() -> Result<()> {
    multi_thread_runtime(2)?.block_on(async {
        let (actor, questions) = mpsc::channel(8);
        let log = spawn_bare("truth::names::audit_log", |_| audit_log(questions));
        for id in 0..50 {
            spawn_bare("truth::names::fetch_user", |me| fetch_user(me, id, actor.clone())).join().await;
        }
        drop(actor);
        log.join().await;
    });
    Ok(())
}
