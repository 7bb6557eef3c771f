//! A service's life: ready, serving, asked to stop, telling the truth.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::log::{self, Role};
use crate::os::spin;

/// A runtime as `#[tokio::main]` makes it, with as many workers on every machine.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Says where the service is, waits for a line, and tells the truth; whether that is consistent.
pub(crate) fn serve(address: SocketAddr) -> io::Result<bool> {
    say(&format!("ready {address}"))?;
    wait_for_line()?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let wrongs = log::print(&mut out)?;
    writeln!(out, "done")?;
    out.flush()?;
    drop(out);
    // Whoever watches shall see no more than what was told.
    wait_for_line()?;
    Ok(wrongs == 0)
}

/// What a service does on its own, for no request: a timer that starts a task now and then.
pub(crate) async fn housekeeping() {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        log::task(tokio::spawn(refresh()).id(), None, Role::Background);
    }
}

async fn refresh() {
    spin(Duration::from_micros(20));
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Says a line.
pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn wait_for_line() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}
