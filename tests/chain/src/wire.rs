//! What `middle` and `back` say to each other: messages as `protoc` would have them made, and the names.

use prost::Message;

/// The gRPC service's name.
pub(crate) const SERVICE: &str = "chain.Back";

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Ask {
    /// What it is about.
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
}

/// Its answer.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Reply {
    /// Any text.
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}
