//! A CPU-bound tokio program. Each of its tasks burns in several functions in known parts, and counts the CPU
//! time that these took. It prints `ready`, does all of its work after a line on standard input, prints the
//! truth and `done`, and ends with its input. With `serve` as its argument it serves HTTP instead,
//! which `ask PORT` asks over HTTP/2.

mod serve;
mod work;

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use work::{Account, Function};

/// Chunks of work that a task of the largest type does.
const CHUNKS: u64 = 600;

/// The accounts of all task types.
#[derive(Debug, Default)]
struct Accounts {
    heavy: Account,
    middle: Account,
    light: Account,
    old: Account,
}

async fn heavy(accounts: Arc<Accounts>) {
    for chunk in 0..CHUNKS {
        let function = match chunk % 4 {
            0 => Function::Sieve,
            1 => Function::Sort,
            _ => Function::Mix,
        };
        accounts.heavy.burn(function, chunk);
        tokio::task::yield_now().await;
    }
}

async fn middle(accounts: Arc<Accounts>) {
    for chunk in 0..CHUNKS / 2 {
        accounts.middle.burn(if chunk % 3 == 0 { Function::Mix } else { Function::Sort }, chunk);
        tokio::task::yield_now().await;
    }
}

async fn light(accounts: Arc<Accounts>) {
    for chunk in 0..CHUNKS / 4 {
        accounts.light.burn(Function::Sieve, chunk);
        tokio::task::yield_now().await;
    }
}

/// Spawned before anyone attaches: only its stack says its type.
async fn old(accounts: Arc<Accounts>, mut go: broadcast::Receiver<()>) {
    // An error is the end of the program, at which nothing is to be done.
    drop(go.recv().await);
    for chunk in 0..CHUNKS / 2 {
        accounts.old.burn(if chunk % 2 == 0 { Function::Sieve } else { Function::Mix }, chunk);
        tokio::task::yield_now().await;
    }
}

/// Spawns the others, as a service spawns tasks for what comes in.
async fn boss(accounts: Arc<Accounts>) {
    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..2 {
        tasks.push(tokio::spawn(heavy(Arc::clone(&accounts))));
        tasks.push(tokio::spawn(middle(Arc::clone(&accounts))));
        tasks.push(tokio::spawn(light(Arc::clone(&accounts))));
    }
    wait_for(tasks).await;
}

async fn wait_for(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        // One that panics shows in the truth.
        drop(task.await);
    }
}

fn say(line: &str) {
    // Whoever closed it wants to know no more.
    drop(writeln!(stdout(), "{line}").and_then(|()| stdout().flush()));
}

async fn run() {
    let accounts = Arc::new(Accounts::default());
    let (go, _) = broadcast::channel(1);
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(old(Arc::clone(&accounts), go.subscribe()))).collect();
    say("ready");
    let lines = tokio::task::spawn_blocking(|| stdin().lock().lines().next()).await;
    if !matches!(lines, Ok(Some(Ok(_)))) {
        return;
    }
    // A failure would show as tasks that never burn.
    drop(go.send(()));
    drop(tokio::spawn(boss(Arc::clone(&accounts))).await);
    wait_for(waiting).await;
    let all =
        [("heavy", &accounts.heavy), ("middle", &accounts.middle), ("light", &accounts.light), ("old", &accounts.old)];
    for (task, account) in all {
        let [mix, sort, sieve, _] = account.reported();
        say(&json!({ "task": task, "mix": mix, "sort": sort, "sieve": sieve }).to_string());
    }
    say("done");
    drop(tokio::task::spawn_blocking(|| stdin().lock().lines().next()).await);
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [first] if first == "serve" => runtime.block_on(serve::run())?,
        [first, port] if first == "ask" => runtime.block_on(serve::ask_all(port))?,
        _ => runtime.block_on(run()),
    }
    Ok(())
}
