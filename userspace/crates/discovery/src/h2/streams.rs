//! The places where h2's streams take and give away whole header blocks: with the frame, and with the stream's place in
//! its store, which tells the connection and the stream.

use iced_x86::Mnemonic;

use super::layout::only;
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        symbolic::{SymbolicRoot, SymbolicValue},
        trace::TraceEvent,
    },
};

/// An argument that is a `&mut store::Ptr`, and where this has its parts.
///
/// Source: <https://github.com/hyperium/h2/blob/b0e890842ac16d3c76836fd4fcc06421acb15fa7/src/proto/streams/store.rs#L17-L30>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamPointer {
    /// The argument's place, from 0.
    pub(crate) argument: u8,
    /// The address of the connection's `Store`.
    pub(crate) store: i64,
    /// The stream's id.
    pub(crate) stream: i64,
}

/// The argument through which a stream is looked up: `store.slab[key.index]`, whose id has to be
/// `key.stream_id`.
pub(crate) fn stream_pointer(events: &[TraceEvent]) -> Option<StreamPointer> {
    let keys = events.iter().filter_map(|event| {
        let TraceEvent::Compare {
            left: Some(left),
            right: Some(right),
            bytes: 8,
            then: Mnemonic::Jbe | Mnemonic::Jae | Mnemonic::Ja | Mnemonic::Jb,
        } = event
        else {
            return None;
        };
        // The slab's length, in the store, against the index.
        let (in_store, in_pointer) = [(left, right), (right, left)].into_iter().find_map(|(length, index)| {
            let (length, 8) = length.loaded_from()? else { return None };
            let (index, 4) = index.loaded_from()? else { return None };
            Some((length, index))
        })?;
        let SymbolicValue { root: SymbolicRoot::Loaded(store, 8), .. } = in_store else { return None };
        let SymbolicRoot::Argument(argument) = in_pointer.root else { return None };
        (store.root == in_pointer.root).then_some((argument, store.offset, in_pointer.offset))
    });
    let (argument, store, index) = only(keys)?;
    let ids = events.iter().filter_map(|event| {
        let TraceEvent::Compare { left, right, bytes: 4, then: Mnemonic::Jne | Mnemonic::Je } = event else {
            return None;
        };
        [left, right].into_iter().flatten().filter_map(SymbolicValue::loaded_from).find_map(|(address, bytes)| {
            let is_id = bytes == 4 && address.root == SymbolicRoot::Argument(argument) && address.offset != index;
            is_id.then_some(address.offset)
        })
    });
    Some(StreamPointer { argument, store, stream: only(ids)? })
}

/// The argument that is a frame with a header block: what is dropped, or checked, as one.
pub(crate) fn frame_argument(events: &[TraceEvent], takes_block: impl Fn(ElfAddr) -> Option<i64>) -> Option<(u8, i64)> {
    only(events.iter().filter_map(|event| {
        let TraceEvent::Call { function: Some(function), arguments: [Some(first), ..], .. } = event else {
            return None;
        };
        let SymbolicRoot::Argument(argument) = first.root else { return None };
        Some((argument, first.offset - takes_block(*function)?))
    }))
}

/// The place of the stream's id in a frame: the only 4 bytes of it that `send_headers` reads by themselves.
pub(crate) fn stream_of_frame(events: &[TraceEvent], frame: u8) -> Option<i64> {
    only(events.iter().filter_map(|event| match event {
        TraceEvent::Load { address: SymbolicValue { root: SymbolicRoot::Argument(argument), offset }, bytes: 4 }
            if *argument == frame =>
        {
            Some(*offset)
        }
        _ => None,
    }))
}

/// The place of the status in a frame: what is held against 100 and 200, as `status - 200` against -100, or as
/// `status - 100` against 100.
pub(crate) fn status_of_frame(events: &[TraceEvent]) -> Option<(u8, i64)> {
    only(events.iter().filter_map(|event| {
        let TraceEvent::Compare { left: Some(left), right: Some(right), bytes: 2, .. } = event else { return None };
        let bound = matches!((left.offset, right.offset), (-200, -100 | -101) | (-100, 99 | 100));
        let SymbolicRoot::Loaded(address, _) = &left.root else { return None };
        let SymbolicRoot::Argument(argument) = address.root else { return None };
        (bound && right.root == SymbolicRoot::Constant).then_some((argument, address.offset))
    }))
}

/// A frame that is queued: which argument is a pointer to the enum around it, where in that the frame lies,
/// and its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    /// The argument's place.
    pub(crate) argument: u8,
    /// The frame, from the enum's start.
    pub(crate) frame: i64,
    /// The tag's place.
    pub(crate) tag_at: i64,
    /// The tag's size in bytes.
    pub(crate) tag_bytes: usize,
    /// The tag.
    pub(crate) tag: i64,
}

/// The way a function wraps its argument `frame` to hand it to `queue`.
pub(crate) fn queued(events: &[TraceEvent], frame: u8, queue: ElfAddr) -> Option<Queued> {
    only(events.iter().enumerate().filter_map(|(at, event)| {
        let TraceEvent::Call { function: Some(function), arguments, .. } = event else { return None };
        if *function != queue {
            return None;
        }
        // The frame was copied to the stack: `memcpy(to, frame, len)`.
        let (copied, copy_at) = events[..at].iter().enumerate().rev().find_map(|(at, event)| match event {
            TraceEvent::Call { arguments: [Some(to), Some(from), Some(len), ..], .. }
                if *from == SymbolicValue::argument(frame)
                    && to.root == SymbolicRoot::Stack
                    && len.root == SymbolicRoot::Constant =>
            {
                Some(((to.offset, len.offset), at))
            }
            _ => None,
        })?;
        let (to, len) = copied;
        let (argument, whole) = (0..).zip(arguments).find_map(|(place, value)| {
            let value = value.as_ref().filter(|value| value.root == SymbolicRoot::Stack)?;
            (value.offset <= to && to - value.offset <= 16).then_some((place, value.offset))
        })?;
        let tags = events[copy_at.saturating_sub(8)..at].iter().filter_map(|event| match event {
            TraceEvent::Store { address: SymbolicValue { root: SymbolicRoot::Stack, offset }, bytes, number }
                if (whole..to).contains(offset) || (to + len..to + len + 8).contains(offset) =>
            {
                Some((*offset - whole, *bytes, *number))
            }
            _ => None,
        });
        let (tag_at, tag_bytes, tag) = only(tags)?;
        Some(Queued { argument, frame: to - whole, tag_at, tag_bytes, tag })
    }))
}
