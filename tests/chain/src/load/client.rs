//! A client's connection: HTTP/1.1 as far as this load needs it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Under hooks, on a busy machine, a thousand requests at once take their time.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    /// What was read beyond the last response.
    rest: Vec<u8>,
}

/// A request's head. `header` is a whole line.
pub(super) fn head(path: &str, header: Option<&str>) -> String {
    let header = header.map_or_else(String::new, |line| format!("{line}\r\n"));
    format!("GET {path}?key=not-to-be-seen HTTP/1.1\r\nhost: front\r\n{header}\r\n")
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, rest: Vec::new() })
    }

    pub(super) async fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(text.as_bytes()).await?)
    }

    /// Reads a response, which has to have this status.
    pub(super) async fn expect(&mut self, status: u16) -> Result<()> {
        let head = timeout(PATIENCE, self.response()).await.context("no response in time")??;
        let line = head.lines().next().unwrap_or_default();
        ensure!(line.split(' ').nth(1) == Some(&status.to_string()), "{line} instead of {status}");
        Ok(())
    }

    /// The connection has to end without a response.
    pub(super) async fn expect_end(&mut self) -> Result<()> {
        let read = timeout(PATIENCE, self.fill()).await.context("no end in time")?;
        // Closed or reset: both are an end.
        ensure!(read.is_err() || self.rest.is_empty(), "an answer: {}", String::from_utf8_lossy(&self.rest));
        Ok(())
    }

    /// Reads a response whole; its head.
    async fn response(&mut self) -> Result<String> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
        while self.rest.len() < end + length {
            self.fill().await?;
        }
        self.rest.drain(..end + length);
        Ok(head)
    }

    async fn fill(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.rest).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}
