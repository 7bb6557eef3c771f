//! A client that writes what no library would, and reads until the server says no more.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(20);
const LAST: &str = "connection: close\r\n\r\n";

/// Asks in every way, each on a connection of its own.
pub(crate) fn ask(address: &str) -> Result<()> {
    let once = |pieces: &[&[u8]]| converse(address, pieces).map(drop);
    let pipelined = format!(
        "GET /echo/a HTTP/1.1\r\nhost: x\r\n\r\nHEAD /stream/b HTTP/1.1\r\nhost: x\r\n\r\nGET /stream/c HTTP/1.1\r\nhost: x\r\nx-request-id: c\r\n{LAST}"
    );
    once(&[pipelined.as_bytes()])?;
    let split =
        format!("POST /echo/split?q=1 HTTP/1.1\r\nhost: x\r\nb3: split-value\r\ncontent-length: 3\r\n{LAST}abc");
    once(&split.as_bytes().chunks(1).collect::<Vec<_>>())?;
    let fake = "GET /fake HTTP/1.1\r\n\r\n";
    let chunked = format!(
        "POST /echo/chunked HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x};x=y\r\n{fake}\r\n1\r\nG\r\n0\r\n\r\nGET /empty/after HTTP/1.1\r\nhost: x\r\n{LAST}",
        fake.len()
    );
    once(&[chunked.as_bytes()])?;
    once(&chunked.as_bytes().chunks(7).collect::<Vec<_>>())?;
    let long =
        format!("GET /echo/long HTTP/1.1\r\nhost: x\r\nx-long: {}\r\nx-request-id: long\r\n{LAST}", "v".repeat(65_000));
    once(&long.as_bytes().chunks(10_000).collect::<Vec<_>>())?;
    let path = "p".repeat(300);
    once(&[format!("GET http://user:password@host/echo/{path}?q HTTP/1.1\r\nhost: x\r\n{LAST}").as_bytes()])?;
    let value = "w".repeat(300);
    once(&[
        format!("GET /echo/v HTTP/1.1\r\nhost: x\r\nx-request-id: {value}\r\nb3: \u{fffd}\u{9b}\r\n{LAST}").as_bytes()
    ])?;
    once(&[b"GET /echo/bytes HTTP/1.1\r\nhost: x\r\nx-request-id: a\xff\xc3(\xfe\r\nconnection: close\r\n\r\n"])?;
    once(&[b"GET /echo/escape HTTP/1.1\r\nhost: x\r\nx-request-id: \x1b[31m\r\n\r\n"])?;
    once(&[
        b"GET /echo/ok HTTP/1.1\r\nhost: x\r\n\r\nGET /echo/smuggled HTTP/1.1\r\nhost: x\rx-request-id: y\r\n\r\n",
    ])?;
    upgrade(address, fake)?;
    let expects = format!("POST /echo/e HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n{LAST}");
    once(&[expects.as_bytes(), b"ok"])?;
    disconnect(address)
}

/// What it sends then looks like a message, and is none.
fn upgrade(address: &str, fake: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /upgrade/u HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")?;
    stream.write_all(fake.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(fake.as_bytes()) {
        let mut buffer = [0; 1024];
        let len = stream.read(&mut buffer)?;
        ensure!(len > 0, "the server closed");
        answer.extend(buffer.get(..len).context("too long")?);
    }
    stream.shutdown(Shutdown::Write)?;
    ensure!(stream.read(&mut [0; 1])? == 0, "the server did not close");
    Ok(())
}

/// Goes away in the middle of a body.
fn disconnect(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"POST /echo/gone HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc")?;
    Ok(())
}

/// Writes piece by piece, and reads what comes until the end.
pub(crate) fn converse(address: &str, pieces: &[&[u8]]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    // A server that refuses resets the connection.
    stream.read_to_end(&mut answer).ok();
    Ok(answer)
}

/// A connection that is used again and again.
pub(crate) struct KeepAlive(TcpStream);

impl KeepAlive {
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Asks for a response without a body.
    pub(crate) fn ask(&mut self, path: &str) -> Result<()> {
        self.0.write_all(format!("GET /empty/{path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let len = self.0.read(&mut buffer)?;
            ensure!(len > 0, "the server closed");
            answer.extend(buffer.get(..len).context("too long")?);
        }
        ensure!(answer.starts_with(b"HTTP/1.1 204"), "not answered");
        Ok(())
    }
}
