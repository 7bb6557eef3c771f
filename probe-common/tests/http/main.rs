//! HTTP/1 through a connection, as the programs follow it: on literal bytes, and against httparse.

#![expect(clippy::unwrap_used, reason = "tests")]

mod corpus;
mod drive;
mod literal;
mod random;
mod trial;
