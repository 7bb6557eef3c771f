//! Tasks that wait at known awaits, and say which.

mod blocks;
mod busy;
mod chains;
mod deadlocks;
mod holds;
mod leaves;
mod log;
mod maps;
mod shares;
mod trail;

use std::io::{Write as _, stdin, stdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::runtime::Builder;

/// Longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3600);

/// How long a task sleeps before it sleeps again, in milliseconds; 0: forever.
static NAP_MS: AtomicU64 = AtomicU64::new(0);

fn nap() -> Duration {
    match NAP_MS.load(Ordering::Relaxed) {
        0 => FOREVER,
        ms => Duration::from_millis(ms),
    }
}

fn main() -> Result<()> {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match scenario.as_str() {
            "chains" => {
                chains::start();
                leaves::start().await?;
            }
            "rounds" => {
                NAP_MS.store(20, Ordering::Relaxed);
                chains::start();
            }
            "deadlocks" => deadlocks::start().await,
            "shares" => shares::start().await,
            "busy" => busy::start(),
            "blocks" => blocks::run().await?,
            "holds" => holds::run().await?,
            "maps" => maps::run().await?,
            other => bail!("no scenario {other:?}: chains, rounds, deadlocks, shares, busy, blocks, holds, maps"),
        }
        log::report().await;
        Ok(())
    })?;
    say(&format!("ready {}", std::process::id()))?;
    stdin().read_line(&mut String::new())?;
    runtime.shutdown_background();
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
