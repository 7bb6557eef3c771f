//! Requests that tasks of all sorts work for, and log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc as channel, oneshot};

use crate::line::{Stream, log, say};

static STOPPED: AtomicBool = AtomicBool::new(false);
static IDLE: Notify = Notify::const_new();

/// Whom a handler asks.
#[derive(Clone)]
struct Others {
    actor: channel::Sender<(String, oneshot::Sender<()>)>,
    /// A thread that writes for others.
    writer: mpsc::Sender<String>,
}

pub(crate) async fn serve(listener: TcpListener) {
    let (actor, messages) = channel::channel(64);
    tokio::spawn(act(messages));
    let (writer, lines) = mpsc::channel::<String>();
    std::thread::spawn(move || lines.iter().for_each(|line| say(Stream::Out, &line)));
    tokio::spawn(tick());
    let router = Router::new().route("/", get(answer)).with_state(Others { actor, writer });
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("R {error}");
    }
}

/// Lets the one task end that writes without being asked.
pub(crate) async fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
    IDLE.notified().await;
}

/// For no request.
async fn tick() {
    while !STOPPED.load(Ordering::Relaxed) {
        log(Stream::Out, "-", "tick");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    IDLE.notify_one();
}

/// For whoever asks.
async fn act(mut messages: channel::Receiver<(String, oneshot::Sender<()>)>) {
    while let Some((request, reply)) = messages.recv().await {
        log(Stream::Err, &request, "actor");
        // Whoever asked may be gone.
        reply.send(()).ok();
    }
}

async fn answer(State(others): State<Others>, headers: HeaderMap) -> String {
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("-").to_owned();
    log(Stream::Out, &id, "handler begins");
    log(Stream::Err, &id, "handler, in pieces");
    let child = tokio::spawn(work(id.clone()));
    let of_blocking = id.clone();
    let blocking = tokio::task::spawn_blocking(move || log(Stream::Out, &of_blocking, "blocking"));
    others.writer.send(format!("W for {id}")).ok();
    let (reply, answer) = oneshot::channel();
    if others.actor.send((id.clone(), reply)).await.is_ok() {
        answer.await.ok();
    }
    child.await.ok();
    blocking.await.ok();
    log(Stream::Out, &id, "handler ends");
    id
}

/// A task, and one of its own.
async fn work(id: String) {
    log(Stream::Err, &id, "child begins");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let of_grandchild = id.clone();
    let grandchild = tokio::spawn(async move {
        log(Stream::Out, &of_grandchild, "grandchild");
        tokio::task::yield_now().await;
        log(Stream::Err, &of_grandchild, "grandchild again");
    });
    grandchild.await.ok();
    log(Stream::Out, &id, "child ends");
}
