//! What `cargo xtask bench` measures: small services that are each one extreme of how a program uses tokio.

mod idle;
mod storm;

use std::io::{self, Write as _};

use axum::Router;
use axum::routing::get;
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    service: Service,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Service {
    /// Answers at once: nearly all that a request costs is polls and system calls.
    Hello,
    /// 100 000 tasks, each of which sleeps for seconds at a time.
    Idle,
    /// Spawns as many tasks as a request says, and waits for them.
    Storm,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _instrumented = instrument::start()?;
    let router = match Args::parse().service {
        Service::Hello => Router::new().route("/", get(async || "Hello, World!")),
        Service::Idle => idle::router(),
        Service::Storm => storm::router(),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let line = serde_json::json!({"pages": listener.local_addr()?});
    writeln!(io::stdout(), "listening {line}")?;
    Ok(axum::serve(listener, instrument::requests(router)).await?)
}
