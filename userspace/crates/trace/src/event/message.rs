//! The head of an HTTP message, as an event holds it.
//!
//! Bytes stay as they came, and are escaped where they are shown.

use probe_common::record::Source;
#[cfg(doc)]
use probe_common::record::{VALUE_MAX, VALUES_MAX};

use super::Running;

/// The connection that a message went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The place where it was observed.
    pub source: Source,
    /// A descriptor, or an address, as `source` says. Reused after [`super::Change::Closed`].
    pub key: u64,
}

/// The head, or the trailers, of an HTTP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The connection.
    pub connection: Connection,
    /// The HTTP/2 stream on it; 0 for HTTP/1.
    pub substream: u32,
    /// True if the target wrote the message; otherwise it read it.
    pub written: bool,
    /// The task that the thread runs as tokio's `CONTEXT` reports; `None` where polls have hooks, which say that.
    pub by: Option<Running>,
    /// True for a request that began before the response to the one before it had gone through whole.
    pub early: bool,
    /// Its first line.
    pub start: Start,
    /// The gRPC status, if there was one.
    pub grpc_status: Option<u8>,
    /// The values of the allow-listed headers in it, in its order. At most [`VALUES_MAX`].
    pub values: Vec<Value>,
}

/// The start of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request.
    Request {
        /// The method.
        method: Vec<u8>,
        /// The path, without a query.
        path: Vec<u8>,
        /// True if the path was longer.
        cut: bool,
    },
    /// A response.
    Response {
        /// The status code.
        status: u16,
    },
    /// Trailers.
    Trailers,
}

/// The value of an allow-listed header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The header: its place in [`crate::facts::Facts::correlation_headers`].
    pub name: u8,
    /// The value; at most [`VALUE_MAX`] bytes.
    pub bytes: Vec<u8>,
    /// True if it was longer.
    pub cut: bool,
}
