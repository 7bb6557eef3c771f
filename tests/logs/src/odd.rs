//! Lines that are hard to take apart, to put together, or to show.

use std::io::{self, IoSlice, Write as _};

use anyhow::{Result, ensure};

use crate::line::{Stream, log, say, truth};

/// Writes them, one after the other.
pub(crate) async fn write_all() -> Result<()> {
    say(Stream::Out, "R outside of every task");
    std::thread::spawn(|| say(Stream::Err, "W by another thread")).join().ok();
    tokio::spawn(by_a_task()).await??;
    // Two tasks have a part in one line.
    tokio::spawn(async { part("M one task's and ") }).await??;
    tokio::spawn(async { part("another's\n") }).await??;
    Ok(())
}

/// Of a line, or more than one.
fn part(text: &str) -> io::Result<()> {
    let mut error = io::stderr().lock();
    error.write_all(text.as_bytes())
}

async fn by_a_task() -> Result<()> {
    log(Stream::Out, "-", "</script><script>alert(1)</script> \u{1b}[31mred\u{1b}[0m \u{202e}turned \u{7}");
    log(Stream::Err, "-", "\u{1b}]0;title\u{7}\r over");
    for len in [8100, 8192, 8193, 20_000, 100_000] {
        long(Stream::Out, len);
        long(Stream::Err, len);
    }
    let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    write(&[truth("-").as_bytes(), b" ", &all, b"\n"].concat())?;
    // Over several calls, and over a wait.
    for piece in [truth("-").as_str(), " in ", "pie", "ces\n"] {
        part(piece)?;
        tokio::task::yield_now().await;
    }
    part(&format!("{} several\n{} in one\n\n{} call\n", truth("-"), truth("-"), truth("-")))?;
    vectored()
}

/// A line of this many bytes.
fn long(to: Stream, len: usize) {
    let truth = truth("-");
    say(to, &format!("{truth} {}", "x".repeat(len.saturating_sub(truth.len() + 1))));
}

fn write(bytes: &[u8]) -> io::Result<()> {
    io::stderr().lock().write_all(bytes)
}

/// In buffers of which one is empty, one ends a line, and the last does not.
fn vectored() -> Result<()> {
    let (first, second) = (truth("-"), truth("-"));
    let pieces = [first.as_bytes(), b"", b" vec", b"tored\n", second.as_bytes(), b" as well"];
    let wrote = io::stderr().lock().write_vectored(&pieces.map(IoSlice::new))?;
    ensure!(wrote == pieces.concat().len(), "only {wrote} bytes at once");
    part("\n")?;
    Ok(())
}
