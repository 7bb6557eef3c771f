//! A service whose requests burn: in the task that serves them, in tasks spawned for them, and in tasks that are
//! nobody's. It prints `ready PORT`, serves until a line comes on standard input, prints which task burned how long
//! for which request, and `done`.

mod ask;
mod foreign;
mod ledger;
mod pool;

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::work::Function;
pub(crate) use ask::ask_all;
use foreign::{Actor, Lates};
use ledger::{Ledger, Whose};
use pool::Pool;

#[derive(Debug)]
struct Service {
    ledger: Arc<Ledger>,
    actor: Actor,
    lates: Lates,
    pool: Pool,
}

type Shared = State<Arc<Service>>;

/// In the task that serves it alone.
async fn plain(State(service): Shared, request: Request) {
    service.ledger.burn(Function::Mix, 6, &Whose::of(&request, "serve"));
}

/// In tasks, and in one that one of these spawns.
async fn spawn(State(service): Shared, request: Request) {
    let whose = Whose::of(&request, "serve");
    service.ledger.burn(Function::Sieve, 2, &whose);
    let part = |deeper: bool| {
        let (ledger, whose) = (Arc::clone(&service.ledger), whose.clone());
        async move {
            ledger.burn(Function::Sort, 3, &whose.by("part"));
            if deeper {
                let (ledger, whose) = (Arc::clone(&ledger), whose.by("deep"));
                // One that panics shows in the truth.
                drop(tokio::spawn(async move { ledger.burn(Function::Mix, 2, &whose) }).await);
            }
        }
    };
    let (one, other) = (tokio::spawn(part(true)), tokio::spawn(part(false)));
    drop(one.await);
    drop(other.await);
}

/// In a closure that may block.
async fn block(State(service): Shared, request: Request) {
    let whose = Whose::of(&request, "serve");
    service.ledger.burn(Function::Mix, 2, &whose);
    let (ledger, whose) = (Arc::clone(&service.ledger), whose.by("block"));
    drop(tokio::task::spawn_blocking(move || ledger.burn(Function::Sort, 4, &whose)).await);
}

/// Leaves a task behind, which burns once the client has the response, and asks to flush it.
async fn late(State(service): Shared, request: Request) {
    let whose = Whose::of(&request, "serve");
    service.ledger.burn(Function::Sieve, 4, &whose);
    service.lates.leave(&service.ledger, &whose);
}

async fn flush(State(service): Shared, request: Request) {
    service.ledger.burn(Function::Mix, 2, &Whose::of(&request, "serve"));
    service.lates.let_go(request.headers().get("x-late").and_then(|id| id.to_str().ok()).unwrap_or_default());
}

/// Has an actor burn, which the first such request starts.
async fn actor(State(service): Shared, request: Request) {
    service.ledger.burn(Function::Sieve, 3, &Whose::of(&request, "serve"));
    service.actor.ask(&service.ledger).await;
}

/// Has the task of a pooled connection burn.
async fn pooled(State(service): Shared, request: Request) {
    service.ledger.burn(Function::Sort, 3, &Whose::of(&request, "serve"));
    service.pool.ask().await;
}

pub(crate) async fn run() -> std::io::Result<()> {
    let ledger = Arc::new(Ledger::default());
    let (listener, pool) = (TcpListener::bind("127.0.0.1:0").await?, Pool::start(Arc::clone(&ledger))?);
    let port = listener.local_addr()?.port();
    let service = Service { ledger: Arc::clone(&ledger), actor: Actor::default(), lates: Lates::default(), pool };
    tokio::spawn(foreign::background(Arc::clone(&ledger)));
    let router = Router::new()
        .route("/serve", get(plain))
        .route("/spawn", get(spawn))
        .route("/block", get(block))
        .route("/late", get(late))
        .route("/flush", get(flush))
        .route("/actor", get(actor))
        .route("/pool", get(pooled))
        .with_state(Arc::new(service));
    tokio::spawn(async move { axum::serve(listener, router).await });
    say(&format!("ready {port}"));
    let next = || tokio::task::spawn_blocking(|| stdin().lock().lines().next());
    drop(next().await);
    ledger.reported().iter().for_each(|line| say(line));
    say("done");
    drop(next().await);
    Ok(())
}

fn say(line: &str) {
    // Whoever closed it wants to know no more.
    drop(writeln!(stdout(), "{line}").and_then(|()| stdout().flush()));
}
