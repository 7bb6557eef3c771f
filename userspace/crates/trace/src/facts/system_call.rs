//! System calls as facts name them.

use probe_common::config::Call;
use serde::{Deserialize, Serialize};

/// The system calls that hooks cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemCall {
    /// `read`
    Read,
    /// `write`
    Write,
    /// `readv`, `preadv2`
    ReadVector,
    /// `writev`, `pwritev2`
    WriteVector,
    /// `recvfrom`
    Receive,
    /// `sendto`
    Send,
    /// `recvmsg`
    ReceiveMessage,
    /// `sendmsg`
    SendMessage,
    /// Calls that move bytes which are not in the target's memory, or several messages.
    MoveUnseen,
    /// `close`
    Close,
    /// `accept`, `accept4`
    Accept,
    /// `connect`
    Connect,
    /// Calls that duplicate a descriptor.
    Duplicate,
}

impl From<Call> for SystemCall {
    fn from(call: Call) -> Self {
        match call {
            Call::Read => Self::Read,
            Call::Write => Self::Write,
            Call::ReadVector => Self::ReadVector,
            Call::WriteVector => Self::WriteVector,
            Call::Receive => Self::Receive,
            Call::Send => Self::Send,
            Call::ReceiveMessage => Self::ReceiveMessage,
            Call::SendMessage => Self::SendMessage,
            Call::SendFile | Call::Splice | Call::Several => Self::MoveUnseen,
            Call::Close => Self::Close,
            Call::Accept => Self::Accept,
            Call::Connect => Self::Connect,
            Call::Duplicate | Call::Control => Self::Duplicate,
        }
    }
}
