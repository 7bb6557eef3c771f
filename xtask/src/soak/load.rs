//! Requests at a steady rate, from a few clients that keep a connection for some time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

const CLIENTS: u64 = 4;
/// Requests on one connection: then there is a new one, so that descriptors come and go.
const REQUESTS_PER_CONNECTION: u64 = 500;
/// A response that takes longer will not come.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

/// Running clients.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    /// Starts them.
    pub(super) fn start(address: &str, rate: u64) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let every = Duration::from_secs_f64(CLIENTS as f64 / rate as f64);
        let client = |number: u64| {
            let (shared, address) = (Arc::clone(&shared), address.to_owned());
            thread::Builder::new().spawn(move || ask(number, &address, every, &shared))
        };
        let clients = (0..CLIENTS).map(client).collect::<Result<_, _>>()?;
        Ok(Self { shared, clients })
    }

    /// Returns how long each request took that was answered since the last call.
    pub(super) fn latencies(&self) -> Result<Vec<Duration>> {
        ensure!(self.clients.iter().all(|client| !client.is_finished()), "a client gave up");
        Ok(std::mem::take(&mut *self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends them, and returns how many requests were answered, of which none was not.
    pub(super) fn stop(self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(self.shared.answered.load(Ordering::Relaxed))
    }
}

fn ask(client: u64, address: &str, every: Duration, shared: &Shared) -> Result<()> {
    let (mut number, start) = (0_u32, Instant::now());
    while !shared.stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        for _ in 0..REQUESTS_PER_CONNECTION {
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep((start + every * number).saturating_duration_since(Instant::now()));
            number = number.checked_add(1).context("too many requests")?;
            let begin = Instant::now();
            let id = format!("soak-{client}-{number}");
            let head = format!("GET /spawn/{number} HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            answer(&mut reader)?;
            shared.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(begin.elapsed());
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn answer(reader: &mut BufReader<TcpStream>) -> Result<()> {
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the server closed");
        if line == "\r\n" {
            break;
        }
        length = line.strip_prefix("content-length: ").map(|rest| rest.trim().parse::<usize>()).transpose()?.or(length);
    }
    let mut body = vec![0; length.context("a response without a length")?];
    Ok(reader.read_exact(&mut body)?)
}
