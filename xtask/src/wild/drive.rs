//! The work: this many requests, each on a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

const AT_ONCE: usize = 8;
const EACH: usize = 250;
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Before and after the work nothing happens, so that the count's edges fall where no task is polled.
const QUIET: Duration = Duration::from_millis(1_500);

/// All requests, with quiet around them; how many there were.
pub(super) fn all(address: SocketAddr) -> Result<usize> {
    thread::sleep(QUIET);
    let clients: Vec<_> =
        (0..AT_ONCE).map(|_| thread::spawn(move || (0..EACH).try_for_each(|_| get(address)))).collect();
    for client in clients {
        client.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    thread::sleep(QUIET);
    Ok(AT_ONCE * EACH)
}

/// One request, and its answer to the end.
pub(super) fn get(address: SocketAddr) -> Result<()> {
    let mut connection = TcpStream::connect(address).context("it does not accept connections")?;
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    connection.write_all(b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).context("no answer")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "the answer is {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// A server that gives everyone the same answer, as long as this process lives; where it listens.
pub(super) fn answering() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // One that went away is not answered.
            let _ = answer(connection);
        }
    });
    Ok(address)
}

fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    let mut request = [0; 1024];
    let _ = connection.read(&mut request)?;
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}
