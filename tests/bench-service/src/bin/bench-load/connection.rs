//! One connection, kept alive.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An answer that takes longer has failed.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// A head and a body together are not larger.
const RESPONSE_MAX: usize = 64 << 10;

/// A connection, and what is asked for on it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    requests: Vec<Vec<u8>>,
    next: usize,
    buffer: Vec<u8>,
    /// Where the last response's body lies in the buffer.
    body: (usize, usize),
}

impl Connection {
    /// Connects.
    pub(crate) fn open(addr: SocketAddr, paths: &[String]) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, ANSWER_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let request = |path: &String| format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n").into_bytes();
        let requests = paths.iter().map(request).collect();
        Ok(Self { stream, requests, next: 0, buffer: vec![0; RESPONSE_MAX], body: (0, 0) })
    }

    /// Asks once, and again and again until then; how long each answer took.
    pub(crate) fn ask_until(&mut self, end: Instant) -> io::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        loop {
            let start = Instant::now();
            self.ask()?;
            latencies.push(start.elapsed());
            if Instant::now() >= end {
                return Ok(latencies);
            }
        }
    }

    /// The last response's body.
    pub(crate) fn last(&self) -> String {
        String::from_utf8_lossy(&self.buffer[self.body.0..self.body.1]).into_owned()
    }

    fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.requests[self.next])?;
        self.next = (self.next + 1) % self.requests.len();
        let mut len = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[len..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            len += read;
            if let Some(body) = body(&self.buffer[..len])? {
                self.body = body;
                return Ok(());
            }
        }
    }
}

/// Where the response's body begins and ends, once all of it is there.
fn body(response: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(head) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let other = |why: &str| io::Error::other(why.to_owned());
    let text = std::str::from_utf8(&response[..head]).map_err(|_| other("a head that is no text"))?;
    if !text.starts_with("HTTP/1.1 200") {
        return Err(other(text.lines().next().unwrap_or_default()));
    }
    let len = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let begin = head + 4;
    let end = begin.saturating_add(len.ok_or_else(|| other("a response without a length"))?);
    Ok((response.len() >= end).then_some((begin, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_whole_or_not() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(body(whole).unwrap(), Some((38, 40)));
        assert_eq!(body(&whole[..39]).unwrap(), None);
        assert_eq!(body(&whole[..20]).unwrap(), None);
        assert!(body(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
