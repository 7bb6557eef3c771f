//! A server as people write them, and a pooled client that asks it, in one process.
//!
//! Says `ready` and the server's address; on the first line of its input, the client asks, and says
//! `done`; at the input's end it prints all bytes that went through each of the server's connections, one
//! JSON object a line, and what the client sent. Called with `forgetful` it keeps nothing, and prints nothing.
//! It knows nothing of asyncscope.

mod client;
mod kept;
mod server;

use std::io::Write as _;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main(worker_threads = 4)]
async fn main() -> Result<()> {
    let address = if std::env::args().any(|arg| arg == "forgetful") {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(server::serve(listener));
        address
    } else {
        let listener = kept::Listener::bind().await?;
        let address = listener.address()?;
        tokio::spawn(server::serve(listener));
        address
    };
    say(&format!("ready {address}"))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut sent = Vec::new();
    while lines.next_line().await?.is_some() {
        sent.extend(client::ask(address).await?);
        say("done")?;
    }
    for connection in kept::all() {
        say(&connection.to_string())?;
    }
    say(&serde_json::json!({ "sent": sent }).to_string())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
