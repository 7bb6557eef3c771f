//! The load of `cargo xtask bench`: some connections, each of which asks again as soon as it has its answer.
//!
//! They are kept from stretch to stretch. Each line on standard input, a number of milliseconds, is a stretch;
//! what came of it is reported as a JSON object on a line.

mod connection;

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use connection::Connection;
use serde_json::json;

/// A stretch is not longer.
const STRETCH_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// The service's address; loopback only.
    #[arg(long)]
    addr: SocketAddr,
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
    /// What is asked for, in turn.
    #[arg(required = true)]
    paths: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(args.addr.ip().is_loopback(), "{} is not a loopback address", args.addr);
    let connect = |_| Connection::open(args.addr, &args.paths);
    let mut connections = (0..args.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
    for line in io::stdin().lock().lines() {
        let ms = line?.parse().context("a stretch is a number of milliseconds")?;
        let reported = stretch(&mut connections, Duration::from_millis(ms).min(STRETCH_MAX))?;
        writeln!(io::stdout(), "{reported}")?;
    }
    Ok(())
}

/// All connections at once.
fn stretch(connections: &mut [Connection], time: Duration) -> anyhow::Result<serde_json::Value> {
    let start = Instant::now();
    let end = start + time;
    let latencies: Vec<io::Result<Vec<Duration>>> = thread::scope(|scope| {
        let ask = |connection: &mut Connection| connection.ask_until(end);
        let threads: Vec<_> = connections.iter_mut().map(|connection| scope.spawn(move || ask(connection))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))).collect()
    });
    let elapsed = start.elapsed();
    let mut all = latencies.into_iter().collect::<io::Result<Vec<_>>>()?.concat();
    all.sort_unstable();
    let quantile = |percent: usize| all.get(all.len() * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let last = connections.first().map(Connection::last).unwrap_or_default();
    Ok(json!({
        "requests": all.len(),
        "seconds": elapsed.as_secs_f64(),
        "p50_us": quantile(50),
        "p99_us": quantile(99),
        "last": last,
    }))
}
