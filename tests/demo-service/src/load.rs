//! A load: some clients that ask for pages, with a pause in between, for a bounded time.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// After this many pages a client opens a new connection, as clients come and go.
const PAGES_A_CONNECTION: u64 = 16;

/// One of this many requests is for a summary.
const SUMMARIES: u64 = 4;

/// Options of `load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The service's address for pages; loopback only.
    #[arg(long)]
    addr: SocketAddr,
    /// How long.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many clients at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    concurrency: u64,
    /// How long each client pauses between two pages, in milliseconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pause_ms: u64,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    pages: u64,
    failed: u64,
    /// Over the pages that did not fail.
    mean_us: u64,
}

/// Loads the service and prints `load {…}`.
///
/// # Errors
/// Where the address is not a loopback one, or no page could be had.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(options.addr.ip().is_loopback(), "{} is not a loopback address", options.addr);
    let mut clients = JoinSet::new();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    for client in 0..options.concurrency {
        let first = client * 1_000_000;
        clients.spawn(visit(options.addr, first, Duration::from_millis(options.pause_ms), end));
    }
    let (mut outcome, mut time) = (Outcome::default(), Duration::ZERO);
    while let Some(client) = clients.join_next().await {
        let (pages, failed, spent) = client??;
        outcome.pages += pages;
        outcome.failed += failed;
        time += spent;
    }
    ensure!(outcome.pages > 0, "no page could be had from {}; {} failed", options.addr, outcome.failed);
    outcome.mean_us = u64::try_from(time.as_micros())? / outcome.pages;
    writeln!(io::stdout(), "load {}", serde_json::to_string(&outcome)?)?;
    Ok(())
}

/// One client: pages had, pages failed, and the time that those had took.
async fn visit(addr: SocketAddr, first: u64, pause: Duration, end: Instant) -> reqwest::Result<(u64, u64, Duration)> {
    let (mut had, mut failed, mut spent) = (0, 0, Duration::ZERO);
    let mut client = connection()?;
    while Instant::now() < end {
        let (id, start) = (first + had + failed, Instant::now());
        if page(&client, addr, id).await {
            had += 1;
            spent += start.elapsed();
        } else {
            failed += 1;
        }
        if (had + failed).is_multiple_of(PAGES_A_CONNECTION) {
            client = connection()?;
        }
        sleep(pause).await;
    }
    Ok((had, failed, spent))
}

fn connection() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()
}

/// Whether the page came and is the right one.
async fn page(client: &reqwest::Client, addr: SocketAddr, id: u64) -> bool {
    let kind = if id.is_multiple_of(SUMMARIES) { "summary" } else { "page" };
    let text = async { client.get(format!("http://{addr}/{kind}/{id}")).send().await?.text().await };
    text.await.is_ok_and(|text| text.starts_with(&format!("user {id}: {} orders", id % 7)))
}
