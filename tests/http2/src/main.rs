//! An HTTP/2 server and a client that print every head that they read and write.
//!
//! `http2 server` and `http2 client PORT` say `ready`, with the server's port; the client starts after a line
//! on its standard input, the server ends after one. Both print their heads at the end, then `done`.

mod body;
mod client;
mod log;
mod server;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, bail};

/// Stands wherever asyncscope must not look.
const SECRET: &str = "MARKER-b1946ac9";

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("server") => server::serve().await?,
        Some("client") => {
            let port = args.next().context("no port")?.parse()?;
            say("ready")?;
            line().await?;
            client::run(port).await?;
        }
        _ => bail!("usage: http2 server | client PORT"),
    }
    log::print()?;
    say("done")?;
    line().await?;
    Ok(())
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Waits for a line on standard input, or its end.
async fn line() -> Result<()> {
    tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}
