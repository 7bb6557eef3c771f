//! A service that reaches out in every way that people do, and the upstream that it reaches.
//!
//! - `kinds up` is the upstream.
//! - `kinds axum PORT LIMITED WORKERS` is a service on hyper, which calls that upstream; 0 workers: a current-thread
//!   runtime.
//! - `kinds actix PORT` is one on actix-web, with two workers.
//! - `kinds load PORT CLIENTS TIMES KIND…` asks a service over HTTP/2.
//!
//! Each says `ready` and its ports. A service serves until a line comes on its standard input, and then prints
//! which request each of its tasks and calls was for ([`log`]). It knows nothing of asyncscope.

mod actix;
mod load;
mod log;
mod service;
mod up;

use std::future::Future;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

fn main() -> ExitCode {
    match live() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kinds: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn live() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let role = args.next().context("say which: up, axum, actix or load")?;
    if role == "load" {
        return runtime(1)?.block_on(load::run(args));
    }
    let numbers: Vec<u16> = args.map(|number| Ok(number.parse()?)).collect::<Result<_>>()?;
    match (role.as_str(), numbers.as_slice()) {
        ("up", []) => runtime(1)?.block_on(up::run()),
        ("axum", &[port, limited, workers]) => runtime(workers.into())?.block_on(service::run(port, limited)),
        ("actix", &[port]) => actix::run(port),
        _ => bail!("there is no such role, or it takes other numbers: {role} {numbers:?}"),
    }
}

fn runtime(workers: usize) -> Result<Runtime> {
    let mut builder = if workers == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    Ok(builder.worker_threads(workers.max(1)).enable_all().build()?)
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// The first line of standard input, waited for by a thread of its own.
fn first_line() -> impl Future<Output = ()> {
    let (sender, line) = oneshot::channel();
    std::thread::spawn(move || {
        let _line = std::io::stdin().lines().next();
        // Nobody waits any longer where the service failed.
        let _reported = sender.send(());
    });
    async move {
        // The thread cannot end before it has sent.
        let _reported = line.await;
    }
}

/// Prints the truth, and stays until standard input ends, so that whoever watches sees the end of nothing else.
fn report() -> Result<()> {
    log::print();
    done();
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the target's protocol")]
fn done() {
    println!("done");
}

#[expect(clippy::print_stdout, reason = "the target's protocol")]
fn ready(ports: &[u16]) {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    println!("ready {}", ports.join(" "));
}
