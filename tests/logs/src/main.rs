//! A service that writes lines to standard output and error in every way, each of which says who wrote it.
//!
//! Says `ready` and its address; on the first line of its input it writes `begin` to both streams, then odd
//! lines while nothing else goes on, and `alone`; from then on it serves; on the second line it writes `end` to
//! both. A line of a task is `T task=ID request=ID seq=N TEXT`, with `-` where there is none; one that starts
//! with `W` or `R` was written outside of every task. It knows nothing of asyncscope.

mod line;
mod odd;
mod service;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use line::{Stream, say};

#[tokio::main(worker_threads = 4)]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(Stream::Out, &format!("ready {}", listener.local_addr()?));
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    input.next_line().await?;
    say(Stream::Out, "begin");
    say(Stream::Err, "begin");
    odd::write_all().await?;
    tokio::spawn(service::serve(listener));
    say(Stream::Out, "alone");
    input.next_line().await?;
    service::stop().await;
    say(Stream::Err, "end");
    say(Stream::Out, "end");
    // The end of the input.
    input.next_line().await?;
    Ok(())
}
