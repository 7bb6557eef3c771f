//! The heads in all bytes of a connection, by httparse and by the lengths that they state.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use httparse::Status;

/// The default list of headers whose values are recorded.
const LISTED: [&str; 4] = ["traceparent", "x-correlation-id", "x-request-id", "b3"];
const VALUE_MAX: usize = 128;
const PATH_MAX: usize = 192;

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Request { method: String, path: Vec<u8>, values: Vec<(u8, Vec<u8>)> },
    Response { status: u16, values: Vec<(u8, Vec<u8>)> },
}

/// A connection of the target's server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) descriptor: u64,
    pub(crate) read: Vec<Head>,
    pub(crate) written: Vec<Head>,
    /// Whether what was read is no HTTP from some point on.
    pub(crate) malformed: bool,
    /// Whether it was upgraded.
    pub(crate) left: bool,
}

/// What the target printed.
pub(crate) fn parse(lines: &[String]) -> Result<(Vec<Connection>, BTreeSet<String>)> {
    let objects = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let (mut connections, mut sent) = (Vec::new(), None);
    for object in objects {
        if let Some(ids) = object["sent"].as_array() {
            sent = Some(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect());
        } else if let Some(descriptor) = object["descriptor"].as_u64() {
            connections.push(connection(descriptor, &unhex(&object["read"])?, &unhex(&object["written"])?)?);
        }
    }
    Ok((connections, sent.context("the target did not say what it sent")?))
}

fn unhex(value: &serde_json::Value) -> Result<Vec<u8>> {
    let text = value.as_str().context("no bytes")?;
    (0..text.len()).step_by(2).map(|at| Ok(u8::from_str_radix(text.get(at..at + 2).context("odd")?, 16)?)).collect()
}

fn connection(descriptor: u64, read: &[u8], written: &[u8]) -> Result<Connection> {
    let (requests, malformed) = requests(read)?;
    let responses = responses(written, &requests)?;
    let left = responses.iter().any(|head| matches!(head, Head::Response { status: 101, .. }));
    Ok(Connection { descriptor, read: requests, written: responses, malformed, left })
}

fn requests(mut bytes: &[u8]) -> Result<(Vec<Head>, bool)> {
    let mut heads = Vec::new();
    while !bytes.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        let len = match request.parse(bytes) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) => break,
            Err(_) => return Ok((heads, true)),
        };
        let target = request.path.context("no path")?;
        let path = target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        let path = path.split('?').next().unwrap_or_default().as_bytes();
        let upgrades = request.headers.iter().any(|header| header.name.eq_ignore_ascii_case("upgrade"));
        heads.push(Head::Request {
            method: request.method.context("no method")?.to_owned(),
            path: path[..path.len().min(PATH_MAX)].to_vec(),
            values: values(request.headers),
        });
        if upgrades {
            break;
        }
        let Some(rest) = behind_body(&bytes[len..], body(request.headers)?) else { break };
        bytes = rest;
    }
    Ok((heads, false))
}

fn responses(mut bytes: &[u8], requests: &[Head]) -> Result<Vec<Head>> {
    let mut methods = requests.iter().map(|head| match head {
        Head::Request { method, .. } => method.as_str(),
        Head::Response { .. } => "",
    });
    let mut heads = Vec::new();
    while !bytes.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut headers);
        let Status::Complete(len) = response.parse(bytes)? else { break };
        let status = response.code.context("no status")?;
        heads.push(Head::Response { status, values: values(response.headers) });
        if status == 101 {
            break;
        }
        let is_final = status >= 200;
        let to_head = is_final && methods.next() == Some("HEAD");
        let body =
            if !is_final || to_head || matches!(status, 204 | 304) { Body::Length(0) } else { body(response.headers)? };
        let Some(rest) = behind_body(&bytes[len..], body) else { break };
        bytes = rest;
    }
    Ok(heads)
}

enum Body {
    Length(usize),
    Chunked,
}

fn body(headers: &[httparse::Header<'_>]) -> Result<Body> {
    let of = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value);
    match (of("content-length"), of("transfer-encoding")) {
        (Some(length), None) => Ok(Body::Length(std::str::from_utf8(length)?.trim().parse()?)),
        (None, Some(_)) => Ok(Body::Chunked),
        (None, None) => Ok(Body::Length(0)),
        (Some(_), Some(_)) => anyhow::bail!("a length in two ways"),
    }
}

/// `None` if the body is not whole.
fn behind_body(mut bytes: &[u8], body: Body) -> Option<&[u8]> {
    match body {
        Body::Length(length) => bytes.get(length..),
        Body::Chunked => loop {
            let Ok(Status::Complete((line, size))) = httparse::parse_chunk_size(bytes) else { return None };
            let size = usize::try_from(size).ok()?;
            bytes = bytes.get(line + size..)?;
            // The test's own messages have no trailers.
            let rest = bytes.strip_prefix(b"\r\n")?;
            if size == 0 {
                return Some(rest);
            }
            bytes = rest;
        },
    }
}

fn values(headers: &[httparse::Header<'_>]) -> Vec<(u8, Vec<u8>)> {
    let listed = |header: &httparse::Header<'_>| {
        let place = LISTED.iter().position(|name| name.eq_ignore_ascii_case(header.name))?;
        Some((u8::try_from(place).ok()?, header.value[..header.value.len().min(VALUE_MAX)].to_vec()))
    };
    headers.iter().filter_map(listed).take(4).collect()
}
