//! A load of requests of each kind, over plain HTTP/1.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// Under hooks, on a busy machine.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// The time after which a client goes away.
const STAY: Duration = Duration::from_millis(12);
/// Of a body, each half.
const HALF: usize = 20_000;
/// A body that goes where its head goes.
const SMALL: &[u8] = &[b'a'; 500];

/// A client's behaviour towards requests of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Asks and reads the answer.
    Plain,
    /// Sends a body in two pieces.
    Body,
    /// Sends a body once it was answered.
    Late,
    /// Sends a small body with the head.
    Small,
    /// Goes away before there is an answer.
    Gone,
    /// Reads to the end of a connection that has become something else.
    Upgrade,
}

fn manner(kind: &str) -> Manner {
    match kind.trim_end_matches("-h2") {
        "body" | "early" | "read" => Manner::Body,
        "late" => Manner::Late,
        "ignore" => Manner::Small,
        "gone" | "gonecleanup" => Manner::Gone,
        "upgrade" => Manner::Upgrade,
        _ => Manner::Plain,
    }
}

/// A client with a connection that it keeps.
#[derive(Debug)]
pub struct Client {
    port: u16,
    kept: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client of the service at that port.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self { port, kept: None }
    }

    fn connection(&mut self) -> Result<BufReader<TcpStream>> {
        if let Some(kept) = self.kept.take() {
            return Ok(kept);
        }
        let connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(ANSWER_MAX))?;
        connection.set_nodelay(true)?;
        Ok(BufReader::new(connection))
    }

    /// Asks for one thing, and waits for the answer unless its kind is not to.
    ///
    /// # Errors
    ///
    /// If there is no answer, or it says that something went wrong.
    pub fn ask(&mut self, kind: &str, name: &str, id: &str) -> Result<()> {
        let mut connection = self.connection()?;
        let manner = manner(kind);
        let length = match manner {
            Manner::Body => 2 * HALF,
            Manner::Small | Manner::Late => SMALL.len(),
            Manner::Plain | Manner::Gone | Manner::Upgrade => 0,
        };
        let small: &[u8] = if manner == Manner::Small { SMALL } else { &[] };
        connection.get_mut().write_all(&[head(kind, name, id, length).as_bytes(), small].concat())?;
        match manner {
            Manner::Gone => {
                thread::sleep(STAY);
                return Ok(connection.get_ref().shutdown(Shutdown::Both)?);
            }
            // Who answered early may have closed.
            Manner::Body => drop(send_body(connection.get_mut())),
            Manner::Plain | Manner::Upgrade | Manner::Late | Manner::Small => {}
        }
        let (status, closes) = answer(&mut connection).with_context(|| format!("{kind} {name}"))?;
        ensure!(![404, 500, 502].contains(&status), "{kind} {name} was answered {status}");
        if manner == Manner::Late {
            // hyper reads no body that nobody wanted, and closes, without a word in the head.
            let _sent = connection.get_mut().write_all(SMALL);
            return Ok(());
        }
        if status == 101 {
            connection.read_to_end(&mut Vec::new())?;
        } else if !closes && status != 413 {
            self.kept = Some(connection);
        }
        Ok(())
    }

    /// Asks for several things at once, one behind the other, and reads all answers.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`].
    pub fn pipeline(&mut self, asked: &[(&str, String)]) -> Result<()> {
        let mut connection = self.connection()?;
        let heads: String = asked.iter().map(|(kind, name)| head(kind, name, name, 0)).collect();
        connection.get_mut().write_all(heads.as_bytes())?;
        for (kind, name) in asked {
            let (_, closes) = answer(&mut connection).with_context(|| format!("{kind} {name}"))?;
            if closes {
                return Ok(());
            }
        }
        self.kept = Some(connection);
        Ok(())
    }
}

fn head(kind: &str, name: &str, id: &str, length: usize) -> String {
    let method = if length > 0 { "POST" } else { "GET" };
    let upgrade = if kind == "upgrade" { "connection: upgrade\r\nupgrade: kinds\r\n" } else { "" };
    let length = if length > 0 { format!("content-length: {length}\r\n") } else { String::new() };
    format!("{method} /w/{kind}/{name} HTTP/1.1\r\nhost: kinds\r\nx-request-id: {id}\r\n{length}{upgrade}\r\n")
}

fn send_body(connection: &mut TcpStream) -> Result<()> {
    connection.write_all("a".repeat(HALF).as_bytes())?;
    thread::sleep(Duration::from_millis(5));
    Ok(connection.write_all("b".repeat(HALF).as_bytes())?)
}

/// Reads an answer to its end: its status, and whether the connection ends with it.
fn answer(connection: &mut BufReader<TcpStream>) -> Result<(u16, bool)> {
    let first = line(connection)?;
    let status: u16 = first.split(' ').nth(1).context("no status")?.parse()?;
    let (mut length, mut chunked, mut closes) = (0, false, false);
    loop {
        let header = line(connection)?.to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            None if header.is_empty() => break,
            Some(("content-length", value)) => length = value.parse()?,
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(("connection", "close")) => closes = true,
            Some(_) => {}
            None => bail!("no header: {header}"),
        }
    }
    if chunked {
        while chunk(connection)? {}
    } else if status != 101 {
        connection.read_exact(&mut vec![0; length])?;
    }
    Ok((status, closes))
}

/// Reads a chunk. Returns whether there are more.
fn chunk(connection: &mut BufReader<TcpStream>) -> Result<bool> {
    let length = usize::from_str_radix(&line(connection)?, 16)?;
    connection.read_exact(&mut vec![0; length + 2])?;
    Ok(length > 0)
}

fn line(connection: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    ensure!(connection.read_line(&mut line)? > 0, "the connection ended");
    Ok(line.trim_end().to_owned())
}

/// Asks for each of these kinds by this many clients at a time, `times` times each; then for all of them in a mixture.
///
/// # Errors
///
/// If one is not answered.
pub fn ask_all(port: u16, kinds: &[&str], clients: usize, times: usize) -> Result<()> {
    let mut all: Vec<Client> = (0..clients).map(|_| Client::new(port)).collect();
    for kind in kinds {
        in_parallel(&mut all, |number, client| {
            (0..times).try_for_each(|time| ask(client, kind, &format!("{kind}-{number}-{time}")))
        })?;
    }
    in_parallel(&mut all, |number, client| {
        let shift = number * kinds.len() / clients.max(1);
        let mixed = kinds.iter().cycle().skip(shift).take(kinds.len());
        mixed.into_iter().try_for_each(|kind| ask(client, kind, &format!("{kind}-{number}-mixed")))
    })
}

fn ask(client: &mut Client, kind: &str, name: &str) -> Result<()> {
    client.ask(kind, name, name)
}

/// Lets each client do this in a thread of its own.
///
/// # Errors
///
/// If one fails.
pub fn in_parallel(clients: &mut [Client], work: impl Fn(usize, &mut Client) -> Result<()> + Sync) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter_mut().enumerate().map(|(number, client)| scope.spawn(move || work(number, client))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}
