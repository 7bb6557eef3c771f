//! The layout of a header block, as the code that drops and measures one has it.
//!
//! rustc orders the fields of `Headers`, `HeaderMap` and the rest as it likes. Their drop glue tells the
//! order back: fields are dropped in the order of their declaration, and a `Bytes` by a call through its
//! vtable with its address and length. So the sequence of such calls names every `Bytes` in a block, and
//! only the whole sequence is believed.

use iced_x86::Mnemonic;
use serde::{Deserialize, Serialize};

use crate::code::x86_64::{
    symbolic::{SymbolicRoot, SymbolicValue},
    trace::TraceEvent,
};

/// The places of a `Bytes`'s parts, in bytes from what holds it.
///
/// Source: <https://github.com/tokio-rs/bytes/blob/67edc2b999d669eb4f471aff576e213dbcb58871/src/bytes.rs#L101-L107>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bytes {
    /// Its vtable: never 0, which makes it the niche of an enum around it.
    pub(crate) vtable: i64,
    /// The address of its bytes.
    pub(crate) pointer: i64,
    /// Their number.
    pub(crate) length: i64,
}

/// A header block: `h2::frame::headers::HeaderBlock`.
///
/// Source: <https://github.com/hyperium/h2/blob/b0e890842ac16d3c76836fd4fcc06421acb15fa7/src/frame/headers.rs#L65-L104>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderBlock {
    /// The tag of `pseudo.method`.
    pub(crate) method: i64,
    /// The tag of a method that is in memory of its own; the one before it is of one written out in place,
    /// those before are of known methods.
    pub(crate) allocated: u8,
    /// `pseudo.path`: absent where its vtable is 0.
    pub(crate) path: Bytes,
    /// `fields.entries`, a `Vec`: the address of its elements.
    pub(crate) entries: i64,
    /// In an element, from its start: the name (a known one where its vtable is 0).
    pub(crate) name: Bytes,
    /// In an element, from its start: the value.
    pub(crate) value: Bytes,
}

/// The header block whose drop glue does this.
pub(crate) fn block(events: &[TraceEvent]) -> Option<HeaderBlock> {
    let dropped: Vec<_> = events.iter().filter_map(dropped).collect();
    // `fields.entries` (name and value), `fields.extra_values`, then `scheme`, `authority`, `path`, `protocol`.
    let [(name_in, name), (value_in, value), (extra_in, _), own @ ..] = dropped.as_slice() else { return None };
    let [(scheme_in, _), (authority_in, _), (path_in, path), (protocol_in, _)] = own else { return None };
    let block = SymbolicValue::argument(0);
    let all_own = [scheme_in, authority_in, path_in, protocol_in].iter().all(|holder| **holder == block);
    let entries = vector(name_in)?;
    let extra = vector(extra_in)?;
    if !all_own || name_in != value_in || entries == extra {
        return None;
    }
    let (method, allocated) = method(events)?;
    Some(HeaderBlock { method, allocated, path: *path, entries, name: *name, value: *value })
}

/// The value that holds the `Bytes` that is dropped, and the place of the `Bytes` in it.
fn dropped(event: &TraceEvent) -> Option<(SymbolicValue, Bytes)> {
    let TraceEvent::Call { function: None, callee: Some(callee), arguments: [_, pointer, length, ..] } = event else {
        return None;
    };
    // `(vtable.drop)(&mut data, ptr, len)`
    let (entry, 8) = callee.loaded_from()? else { return None };
    let SymbolicValue { root: SymbolicRoot::Loaded(vtable, 8), .. } = entry else { return None };
    let (pointer, 8) = pointer.as_ref()?.loaded_from()? else { return None };
    let (length, 8) = length.as_ref()?.loaded_from()? else { return None };
    let together = vtable.root == pointer.root && vtable.root == length.root;
    let holder = SymbolicValue { root: vtable.root.clone(), offset: 0 };
    let bytes = Bytes { vtable: vtable.offset, pointer: pointer.offset, length: length.offset };
    (together && bytes.vtable != bytes.pointer && bytes.pointer != bytes.length).then_some((holder, bytes))
}

/// The place in the block of the address of a vector's elements.
fn vector(holder: &SymbolicValue) -> Option<i64> {
    match holder.loaded_from()? {
        (SymbolicValue { root: SymbolicRoot::Argument(0), offset }, 8) => Some(*offset),
        _ => None,
    }
}

/// The tag of the method, and that of an allocated one: it is compared with that, by order, and with the
/// one for no method at all, which is the next or, since rustc 1.97, the one before the first: 255.
fn method(events: &[TraceEvent]) -> Option<(i64, u8)> {
    let compared = |wanted: &[Mnemonic]| {
        events.iter().find_map(|event| match event {
            TraceEvent::Compare { left: Some(left), right: Some(right), then, .. }
                if right.root == SymbolicRoot::Constant =>
            {
                let (address, 1) = left.loaded_from()? else { return None };
                let tag = wanted.contains(then) && address.root == SymbolicRoot::Argument(0);
                tag.then_some((address.offset, right.offset, *then))
            }
            _ => None,
        })
    };
    // A comparison with the last tag below is one with the first above.
    let first_above =
        |bound: i64, then: Mnemonic, last_below: [Mnemonic; 2]| bound + i64::from(last_below.contains(&then));
    let unsigned = compared(&[Mnemonic::Jb, Mnemonic::Jae, Mnemonic::Jbe, Mnemonic::Ja]);
    let (place, allocated) = match (unsigned, compared(&[Mnemonic::Je, Mnemonic::Jne])) {
        (Some((same_place, bound, then)), Some((place, none, _))) => {
            let allocated = first_above(bound, then, [Mnemonic::Jbe, Mnemonic::Ja]);
            let fits = place == same_place && [allocated + 1, i64::from(u8::MAX), -1].contains(&none);
            fits.then_some((place, allocated))?
        }
        // With no method before the first, one comparison by sign is for both.
        (None, None) => {
            let signed = compared(&[Mnemonic::Jl, Mnemonic::Jge, Mnemonic::Jle, Mnemonic::Jg]);
            let (place, bound, then) = signed?;
            (place, first_above(bound, then, [Mnemonic::Jle, Mnemonic::Jg]))
        }
        _ => return None,
    };
    Some((place, u8::try_from(allocated).ok()?))
}

/// The length of the vector of entries and the distance between them: where in the map its length is, and the
/// distance in bytes. By a function that looks at entries of the map that starts where its argument points.
pub(crate) fn entries(events: &[TraceEvent], map: u8, entries: i64) -> Option<(i64, i64)> {
    let elements = SymbolicValue::argument(map).plus(entries).load(8)?;
    let strides = events.iter().filter_map(|event| match event {
        TraceEvent::Index { base, stride } if base.root == elements.root => Some(*stride),
        _ => None,
    });
    // A `Vec` is its capacity, its elements' address and its length, in some order; the loop compares
    // with the length.
    let lengths = events.iter().filter_map(|event| {
        let TraceEvent::Compare { left, right, bytes: 8, then } = event else { return None };
        let ordered = matches!(then, Mnemonic::Jae | Mnemonic::Jb | Mnemonic::Jbe | Mnemonic::Ja);
        [left, right].into_iter().flatten().filter_map(SymbolicValue::loaded_from).find_map(|(address, bytes)| {
            let near = address.root == SymbolicRoot::Argument(map) && (address.offset - entries).abs() <= 16;
            (near && ordered && bytes == 8 && address.offset != entries).then_some(address.offset)
        })
    });
    Some((only(lengths)?, only(strides)?))
}

/// The one value of them, if all are alike.
pub(crate) fn only<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}
