//! The functions whose code lies at an address, reported once.

use probe_common::record::Head;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    event::{
        At, DecodeError, What,
        fields::{self, push},
    },
    facts::{Function, FunctionName, INLINED_MAX, NAME_MAX, shortened},
};

pub(in crate::event) const KIND: u8 = 69;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize =
    size_of::<CodeHead>() + INLINED_MAX * (size_of::<FunctionHead>() + size_of::<u64>() + 2 * NAME_MAX);

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct CodeHead {
    head: Head,
    address: u64,
    count: u64,
}

/// Set in `name_len` of a function that may also be another one with the same code.
const OR_ANOTHER: u16 = 1 << 15;
/// Set in `name_len` of a function that has no name: the name is its module's then, and the address at which it starts
/// comes before that, 8 bytes.
const UNNAMED: u16 = 1 << 14;
const _: () = assert!(NAME_MAX < UNNAMED as usize);

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct FunctionHead {
    line: u32,
    name_len: u16,
    file_len: u16,
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    code(bytes).ok_or(DecodeError::contradiction(head, bytes))
}

fn code(bytes: &[u8]) -> Option<What> {
    let (CodeHead { address, count, .. }, mut rest) = CodeHead::read_from_prefix(bytes).ok()?;
    if count > INLINED_MAX as u64 {
        return None;
    }
    let mut functions = Vec::new();
    for _ in 0..count {
        let (function, tail) = function(rest)?;
        functions.push(function);
        rest = tail;
    }
    rest.is_empty().then_some(What::Code { address, functions })
}

fn function(bytes: &[u8]) -> Option<(Function, &[u8])> {
    let (FunctionHead { line, name_len, file_len }, tail) = FunctionHead::read_from_prefix(bytes).ok()?;
    let (or_another, unnamed) = (name_len & OR_ANOTHER != 0, name_len & UNNAMED != 0);
    let name_len = name_len & !(OR_ANOTHER | UNNAMED);
    let (start, tail) = if unnamed { u64::read_from_prefix(tail).ok()? } else { (0, tail) };
    let (name, tail) = tail.split_at_checked(usize::from(name_len).min(NAME_MAX + 1))?;
    let (file, tail) = tail.split_at_checked(usize::from(file_len).min(NAME_MAX + 1))?;
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok()?;
        (text.len() <= NAME_MAX).then(|| text.to_owned())
    };
    let name = text(name)?;
    let name = if unnamed { FunctionName::Unnamed { module: name, start } } else { FunctionName::Symbol(name) };
    Some((Function { name, or_another, file: text(file)?, line }, tail))
}

/// Functions beyond [`INLINED_MAX`], and what of a text is beyond [`NAME_MAX`], have no room.
pub(in crate::event) fn encode(at: At, &address: &u64, functions: &[Function], out: &mut Vec<u8>) {
    let functions = &functions[..functions.len().min(INLINED_MAX)];
    push(&CodeHead { head: fields::head(at, KIND, 0), address, count: functions.len() as u64 }, out);
    for Function { name, or_another, file, line } in functions {
        let (name, start) = match name {
            FunctionName::Symbol(name) => (name, None),
            FunctionName::Unnamed { module, start } => (module, Some(start)),
        };
        let (name, file) = (shortened(name), shortened(file));
        let flags = if *or_another { OR_ANOTHER } else { 0 } | if start.is_some() { UNNAMED } else { 0 };
        let name_len = name.len() as u16 | flags;
        push(&FunctionHead { line: *line, name_len, file_len: file.len() as u16 }, out);
        start.into_iter().for_each(|start| push(start, out));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(file.as_bytes());
    }
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use proptest::prelude::*;

    use crate::event::arbitrary::*;

    (any::<u64>(), prop::collection::vec(function(), 0..=INLINED_MAX))
        .prop_map(|(address, functions)| What::Code { address, functions })
}
