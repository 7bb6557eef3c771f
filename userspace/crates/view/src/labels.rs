//! What requests are called: by number, ID and path, and by how they ended.

use super::names::{printable, text};
use asyncscope_model::{Close, Closed, Request, RequestId};

/// A request's number, as it is shown and asked for.
pub(super) fn number(id: RequestId) -> String {
    format!("#{}", id.0)
}

/// Says in a word or two how a request or a call ended.
pub(super) fn status(end: Option<Close>, grpc: Option<u8>) -> String {
    let status = match end.map(|end| end.how) {
        None => "open".to_owned(),
        Some(Closed::Answered { status }) => status.to_string(),
        Some(Closed::Cancelled) => "cancelled".to_owned(),
        Some(Closed::Panicked) => "panicked".to_owned(),
        Some(Closed::Unknown) => "unknown".to_owned(),
    };
    grpc.map_or(status.clone(), |grpc| format!("{status} grpc {grpc}"))
}

/// A request's path, with a mark where it was cut.
pub(super) fn path(request: &Request) -> String {
    let cut = if request.line.cut { "…" } else { "" };
    format!("{}{cut}", printable(&text(&request.line.path)))
}

/// The ID to ask for it by.
pub(super) fn id(request: &Request) -> String {
    let trace = request.ids.trace.filter(|_| request.ids.values.len() == 1);
    match (trace, request.ids.shown()) {
        (Some(trace), _) => format!("{:032x}", u128::from_be_bytes(trace.trace_id)),
        (None, Some(id)) => format!("{}{}", printable(&text(&id.value)), if id.cut { "…" } else { "" }),
        (None, None) => number(request.id),
    }
}
