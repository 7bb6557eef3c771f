//! What a backend answers.

use std::time::Duration;

/// What a backend answers to one request.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// All is well.
    #[default]
    Accept,
    /// This many spans were rejected, and why.
    Partly(i64, String),
    /// This HTTP status, with these headers.
    Http(u16, Vec<(&'static str, &'static str)>),
    /// This gRPC status, with the time after which to come again.
    Grpc(i32, Option<Duration>),
    /// 413, or its like over gRPC, if there are more spans than this many, and then it is asked again.
    TooLargeAbove(usize),
    /// All is well, as soon as [`crate::Receiver::let_one_through`] says so.
    Gated,
    /// Nothing, ever.
    Hang,
    /// The connection is closed instead.
    Close,
}
