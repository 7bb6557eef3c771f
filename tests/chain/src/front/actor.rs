//! An actor: one task that serves many requests in turn, asked over a channel.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::log::{self, Open, Role, Row};
use crate::os::{now, spin};
use crate::request::Request;

const QUEUE: usize = 64;
const BATCH: u64 = 8;

/// A handle to the actor.
#[derive(Clone, Debug)]
pub(super) struct Actor(mpsc::Sender<Message>);

#[derive(Debug)]
struct Message {
    request: Arc<Request>,
    /// `None`: nobody waits for an answer.
    reply: Option<oneshot::Sender<u64>>,
    _open: Open,
}

impl Actor {
    pub(super) fn start() -> Self {
        let (sender, messages) = mpsc::channel(QUEUE);
        log::task(tokio::spawn(act(messages)).id(), None, Role::Actor);
        Self(sender)
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, request: &Arc<Request>) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Message { request: Arc::clone(request), reply: Some(reply), _open: Open::new() }).await.ok()?;
        answer.await.ok()
    }

    /// Lets it know something.
    pub(super) async fn tell(&self, request: &Arc<Request>, open: Open) {
        // An actor that is gone is noticed by those who ask it.
        let _ = self.0.send(Message { request: Arc::clone(request), reply: None, _open: open }).await;
    }
}

async fn act(mut messages: mpsc::Receiver<Message>) {
    let mut count = 0;
    while let Some(message) = messages.recv().await {
        count += 1;
        handle(message, count).await;
        if count.is_multiple_of(BATCH) {
            // Of many requests, so of none.
            log::task(tokio::spawn(flush()).id(), None, Role::Background);
        }
    }
}

async fn handle(message: Message, count: u64) {
    let (begin_ns, request) = (now(), message.request.number);
    spin(Duration::from_micros(10));
    if count.is_multiple_of(5) {
        sleep(Duration::from_millis(1)).await;
    }
    if count.is_multiple_of(3) {
        log::task(tokio::spawn(flush()).id(), Some(request), Role::ByActor);
    }
    let end_ns = now();
    let replied = message.reply.is_some_and(|reply| reply.send(count).is_ok());
    log::add(Row::Segment { task: log::current_task(), request, begin_ns, end_ns, replied });
}

async fn flush() {
    spin(Duration::from_micros(10));
    sleep(Duration::from_millis(2)).await;
}
