//! An actor: one task that owns the audit log, asked over a channel, answering over another.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::truth::{Spawned, measured, spin};

const QUEUE: usize = 64;
const BATCH: usize = 8;

/// A handle to the actor.
#[derive(Clone, Debug)]
pub(crate) struct AuditLog(mpsc::Sender<Entry>);

#[derive(Debug)]
struct Entry {
    page: u64,
    number: oneshot::Sender<u64>,
}

impl AuditLog {
    /// Starts the actor; it ends when the last handle is dropped.
    pub(crate) fn start() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(audit_log(receiver));
        Self(sender)
    }

    /// Has the page noted; the entry's number, or `None` when the actor is gone.
    pub(crate) async fn record(&self, page: u64) -> Option<u64> {
        let (number, reply) = oneshot::channel();
        self.0.send(Entry { page, number }).await.ok()?;
        reply.await.ok()
    }
}

/// Lives as long as the service, so there is no truth about it: that is reported of finished tasks only.
async fn audit_log(mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut number = 0;
    while let Some(entry) = entries.recv().await {
        spin(Duration::from_micros(100));
        number += 1;
        batch.push(entry.page);
        // The page's client may have gone away meanwhile; the entry stands all the same.
        let _ = entry.number.send(number);
        if batch.len() == BATCH {
            tokio::spawn(instrument::task("flush", flush(std::mem::take(&mut batch), Spawned::here())));
        }
    }
}

async fn flush(batch: Vec<u64>, spawned: Spawned) -> usize {
    let body = async {
        spin(Duration::from_micros(300));
        sleep(Duration::from_millis(5)).await;
        spin(Duration::from_micros(300));
        batch.len()
    };
    measured("demo_service::audit::flush", spawned, body).await
}
