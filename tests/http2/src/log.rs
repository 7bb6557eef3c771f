//! The heads that went through.

use std::{
    io::{self, Write as _},
    sync::Mutex,
};

use hyper::{HeaderMap, Request, Response};

static HEADS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The headers whose values are printed, as asyncscope records them by default, and a status that is a number.
const HEADERS: [&str; 4] = ["traceparent", "x-correlation-id", "x-request-id", "b3"];

/// Which way a head went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Read,
    Written,
}

/// Notes the head of a request.
pub(crate) fn request<B>(exchange: &str, way: Way, request: &Request<B>) {
    let what = format!("request {} {}", request.method(), request.uri().path());
    note(exchange, way, &what, request.headers());
}

/// Notes the head of a response.
pub(crate) fn response<B>(exchange: &str, way: Way, response: &Response<B>) {
    note(exchange, way, &format!("response {}", response.status().as_u16()), response.headers());
}

/// Notes trailers.
pub(crate) fn trailers(exchange: &str, way: Way, trailers: &HeaderMap) {
    note(exchange, way, "trailers", trailers);
}

/// One line: the exchange, the way, what it is, then the fields in the order of their map.
fn note(exchange: &str, way: Way, what: &str, headers: &HeaderMap) {
    let way = match way {
        Way::Read => "read",
        Way::Written => "written",
    };
    let mut line = format!("head {exchange} {way} {what}");
    if let Some(status) = headers.get("grpc-status").and_then(|value| value.to_str().ok()) {
        line += &format!(" grpc-status={status}");
    }
    for (name, value) in headers.iter().filter(|(name, _)| HEADERS.contains(&name.as_str())) {
        line += &format!(" {name}={}", value.to_str().unwrap_or("?"));
    }
    HEADS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
}

/// Prints what was noted.
pub(crate) fn print() -> io::Result<()> {
    let heads = HEADS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut out = io::BufWriter::new(io::stdout().lock());
    heads.iter().try_for_each(|head| writeln!(out, "{head}"))?;
    out.flush()
}
