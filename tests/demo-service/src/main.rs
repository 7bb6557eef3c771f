//! A small service as people write them, and its load: what `cargo xtask demo` profiles.
//!
//! It measures its own tasks from inside (see [`truth`]), so that a profiler's numbers can be held
//! against those it lived through. Nothing in its build or its runtime is unusual.

mod audit;
mod load;
mod orders;
mod pages;
mod prices;
mod serve;
mod summary;
mod truth;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Serve pages until SIGTERM or SIGINT, then print the truth.
    Serve(serve::Options),
    /// Ask a running service for pages for a bounded time.
    Load(load::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Args::parse().word {
        Word::Serve(options) => serve::run(options).await,
        Word::Load(options) => load::run(options).await,
    }
}
