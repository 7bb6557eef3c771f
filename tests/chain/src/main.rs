//! Three services in a row, as people write them: `front` (axum) asks `middle` (actix-web) over pooled
//! HTTP/1, `middle` asks `back` (tonic) over gRPC; and `load`, which asks `front`.
//!
//! A service says `ready` and its address, serves until a line comes on its standard input, and then
//! prints, one JSON object a line, which request each of its tasks and calls was for ([`log::Row`]).
//! It knows that from inside, by handles passed from function to function, and nothing of asyncscope.

mod back;
mod call;
mod front;
mod headers;
mod load;
mod log;
mod middle;
mod os;
mod request;
mod stage;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match live() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("chain: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what was lived is consistent.
fn live() -> Result<bool> {
    os::allow_descriptors()?;
    let mut args = std::env::args().skip(1);
    let role = args.next().context("say which: back, middle, front or load")?;
    let address = args.next().map(|address| address.parse::<SocketAddr>()).transpose()?;
    let next = || address.context("say the address of the next service");
    match role.as_str() {
        "back" => back::run(),
        "middle" => middle::run(next()?),
        "front" => front::run(next()?),
        "load" => load::run(next()?, args),
        other => bail!("there is no role `{other}`"),
    }
}
