//! A backend for spans that takes everything and keeps nothing. It says where it listens, and for each line on
//! standard input how many bytes of spans have come so far.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

static BYTES: AtomicU64 = AtomicU64::new(0);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks takes its spans along.
            thread::spawn(move || serve(&stream).is_ok());
        }
    });
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(io::stdout(), "{}", BYTES.load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(length) = head(&mut reader)? {
        let read = io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        BYTES.fetch_add(read, Ordering::Relaxed);
        writer.write_all(ANSWER)?;
    }
    Ok(())
}

/// The length of the body behind it; `None` at the end.
fn head(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut length = 0;
    let mut line = String::new();
    while reader.take(4096).read_line(&mut line)? > 0 {
        if line.trim_end().is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    Ok(None)
}
