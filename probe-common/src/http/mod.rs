//! HTTP/1 as it goes through a connection: where messages begin and end, and what their heads say.
//!
//! The same code runs in the kernel and in tests. It follows the framing of messages, so that bodies
//! are passed over by arithmetic and never read, and takes a few bytes at a time, so that a head may
//! come in any pieces. Whatever it does not understand ends it: it never searches for the next message.
//!
//! Where readers of HTTP differ, it takes what hyper takes (through httparse), or less.
//! <https://www.rfc-editor.org/rfc/rfc9112>, <https://github.com/hyperium/hyper/blob/v1.6.0/src/proto/h1/role.rs>

mod connection;
mod head;
mod names;
mod side;
mod words;

pub use connection::{Connection, Direction, Reported};
pub use head::step;
pub use names::{NAME_MAX, NAMES_MAX, Names};
pub use side::Side;
pub use words::{WIDE, is_rest_of_line};

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// Nothing that matters yet.
    Nothing = 0,
    /// The head is whole: [`Connection::head`] says what follows it.
    Head = 1,
    /// This is no HTTP/1, or none that can be followed.
    Malformed = 2,
    /// The preface of an HTTP/2 connection.
    Http2 = 3,
    /// A TLS record stands where a message would begin. As malformed as any other bytes.
    Encrypted = 4,
}

/// The progress of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of bytes it took: at least 1, at most 8.
    pub taken: u32,
    /// Its outcome.
    pub event: Event,
}
