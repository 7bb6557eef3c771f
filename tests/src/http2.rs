//! The heads that the HTTP/2 programs printed, against those in a recording.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use asyncscope_trace::event::{Change, Event, Message, Source, Start, What};
use asyncscope_trace::facts::NotSeen;
use asyncscope_trace::recording::Reader;

/// The lengths that a record keeps of a path, and of a value, in bytes.
const KEPT: (usize, usize) = (192, 128);
/// Methods that are recorded by name.
const KNOWN: [&str; 9] = ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "POST", "CONNECT"];

/// The heads of each exchange, in order, as lines.
pub type Exchanges = BTreeMap<String, Vec<String>>;

/// Returns what a program printed.
///
/// # Errors
///
/// If it printed no heads, or a line is none.
pub fn printed(lines: &[String]) -> Result<Exchanges> {
    let mut exchanges = Exchanges::new();
    for line in lines.iter().filter_map(|line| line.strip_prefix("head ")) {
        let (exchange, head) = line.split_once(' ').with_context(|| format!("no head: {line}"))?;
        exchanges.entry(exchange.to_owned()).or_default().push(as_recorded(head));
    }
    ensure!(!exchanges.is_empty(), "no heads were printed");
    Ok(exchanges)
}

/// A printed head, cut as a record would be.
fn as_recorded(head: &str) -> String {
    let words = head.split(' ').enumerate().map(|(place, word)| match word.split_once('=') {
        _ if place == 2 && head.contains(" request ") && !KNOWN.contains(&word) => "?".to_owned(),
        _ if word.starts_with('/') => cut(word.as_bytes(), word.len() > KEPT.0, KEPT.0),
        Some((name, value)) => format!("{name}={}", cut(value.as_bytes(), value.len() > KEPT.1, KEPT.1)),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn cut(bytes: &[u8], cut: bool, kept: usize) -> String {
    let kept = bytes.get(..kept).unwrap_or(bytes);
    format!("{}{}", kept.escape_ascii(), if cut { "…" } else { "" })
}

/// The content of a recording.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The heads of each stream, in order, by connection, and how often the connection's key was used before.
    streams: BTreeMap<(u64, u32, u32), Vec<String>>,
    uses: BTreeMap<u64, u32>,
    names: Vec<String>,
    /// Losses.
    pub lost: Vec<NotSeen>,
    /// Messages on other connections.
    pub others: usize,
}

impl Recorded {
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// If it cannot be read to its end.
    pub fn read(path: &Path) -> Result<Self> {
        let reader = Reader::new(BufReader::new(File::open(path)?))?;
        let mut recorded = Self { names: reader.facts().correlation_headers.clone(), ..Self::default() };
        let end = reader.read(&mut |event| recorded.take(&event));
        ensure!(end.trouble().is_none(), "the recording is damaged: {:?}", end.trouble());
        recorded.lost = end.loss;
        Ok(recorded)
    }

    fn take(&mut self, event: &Event) {
        match &event.what {
            What::Message(message) if message.connection.source == Source::Http2 => {
                let uses = *self.uses.entry(message.connection.key).or_default();
                let line = self.line(message);
                self.streams.entry((message.connection.key, uses, message.substream)).or_default().push(line);
            }
            What::Message(_) => self.others += 1,
            What::Stream { connection, change: Change::Closed } if connection.source == Source::Http2 => {
                *self.uses.entry(connection.key).or_default() += 1;
            }
            _ => {}
        }
    }

    /// The message as the programs print it.
    fn line(&self, message: &Message) -> String {
        let way = if message.written { "written" } else { "read" };
        let what = match &message.start {
            Start::Request { method, path, cut: is_cut } => {
                let method = if method.is_empty() { "?".into() } else { method.escape_ascii().to_string() };
                format!("request {method} {}", cut(path, *is_cut, KEPT.0))
            }
            Start::Response { status } => format!("response {status}"),
            Start::Trailers => "trailers".to_owned(),
        };
        let status = message.grpc_status.map(|status| format!(" grpc-status={status}")).unwrap_or_default();
        let values = message.values.iter().map(|value| {
            let name = self.names.get(usize::from(value.name)).map_or("?", String::as_str);
            format!(" {name}={}", cut(&value.bytes, value.cut, KEPT.1))
        });
        format!("{way} {what}{status}{}", values.collect::<String>())
    }

    /// Holds every stream against the exchange that its request names. Returns each exchange's stream.
    ///
    /// # Errors
    ///
    /// Where heads differ, are missing or are too many, or a connection's key is shared or changes.
    pub fn compare(&self, printed: &Exchanges) -> Result<BTreeMap<String, u32>> {
        let mut found = BTreeMap::new();
        let mut connections = BTreeMap::new();
        for (&(key, uses, stream), heads) in &self.streams {
            let exchange = heads.first().and_then(|request| request.split('/').nth(2));
            let exchange = exchange.with_context(|| format!("stream {stream} of {key:x} begins with {heads:?}"))?;
            let truth = printed.get(exchange).with_context(|| format!("{exchange} never was: {heads:?}"))?;
            ensure!(truth == heads, "{exchange} had {truth:#?}, but {heads:#?} were recorded");
            ensure!(found.insert(exchange.to_owned(), stream).is_none(), "{exchange} was recorded twice");
            let connection = exchange.split('-').next().unwrap_or_default().to_owned();
            let of_connection = connections.entry((key, uses)).or_insert_with(|| connection.clone());
            ensure!(*of_connection == connection, "{key:x} is that of {of_connection} and of {connection}");
        }
        ensure!(found.len() == printed.len(), "of {} exchanges, {} were recorded", printed.len(), found.len());
        let named: BTreeSet<&String> = connections.values().collect();
        ensure!(named.len() == connections.len(), "a connection has several keys: {connections:?}");
        Ok(found)
    }
}
