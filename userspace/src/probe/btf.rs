//! Where the kernel's own structures have their fields, by the types that it publishes.
//!
//! <https://docs.kernel.org/bpf/btf.html>

use std::fs;

use super::ProbeError;

const PATH: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Structures in structures are followed this deep.
const DEPTH_MAX: u8 = 8;

/// The kernel's types.
#[derive(Debug)]
struct Types<'a> {
    strings: &'a [u8],
    /// Each type's description, by its number less one.
    types: Vec<&'a [u8]>,
}

/// The offset in `task_struct` of what `%fs` points to in user space, in bytes.
///
/// <https://github.com/torvalds/linux/blob/v6.12/arch/x86/include/asm/processor.h#L442-L470>
pub(super) fn thread_pointer() -> Result<u64, ProbeError> {
    let failed = |error: std::io::Error| {
        ProbeError::kernel(&format!("read the kernel's types from {PATH} (CONFIG_DEBUG_INFO_BTF)"), &error)
    };
    let data = fs::read(PATH).map_err(failed)?;
    let found = Types::parse(&data).and_then(|types| {
        let thread = types.member("task_struct", "thread")?;
        Some(thread + types.member("thread_struct", "fsbase")?)
    });
    found.ok_or_else(|| ProbeError::Kernel {
        what: "find the threads' own memory".to_owned(),
        why: "the kernel's types have no task_struct.thread.fsbase".to_owned(),
    })
}

impl<'a> Types<'a> {
    fn parse(data: &'a [u8]) -> Option<Self> {
        let word = |at: usize| word(data, at).and_then(|word| usize::try_from(word).ok());
        if data.get(..2)? != MAGIC.to_le_bytes() {
            return None;
        }
        let (head, types_at, types_len, strings_at, strings_len) =
            (word(4)?, word(8)?, word(12)?, word(16)?, word(20)?);
        let section = |at: usize, len: usize| data.get(head.checked_add(at)?..)?.get(..len);
        let (mut rest, strings) = (section(types_at, types_len)?, section(strings_at, strings_len)?);
        let mut types = Vec::new();
        while !rest.is_empty() {
            let (one, after) = rest.split_at_checked(len(rest)?)?;
            types.push(one);
            rest = after;
        }
        Some(Self { strings, types })
    }

    /// The offset of the structure's field, in bytes; the field is in it, or in a structure without a name inside.
    fn member(&self, of: &str, name: &str) -> Option<u64> {
        let is_it = |ty: &&&[u8]| kind(ty) == Some(STRUCT) && word(ty, 0).is_some_and(|at| self.is_called(at, of));
        self.member_in(self.types.iter().find(is_it)?, name, DEPTH_MAX)
    }

    fn member_in(&self, ty: &[u8], name: &str, depth: u8) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        let packed = word(ty, 4)? >> 31 == 1;
        for member in ty.get(12..)?.chunks_exact(12) {
            let (called, of, bits) = (word(member, 0)?, word(member, 4)?, word(member, 8)?);
            let bits = if packed { bits & 0xff_ffff } else { bits };
            let at = u64::from(bits / 8);
            if bits.is_multiple_of(8) && self.is_called(called, name) {
                return Some(at);
            }
            let inner = usize::try_from(of).ok().and_then(|of| self.types.get(of.checked_sub(1)?));
            if let Some(inner) = inner.filter(|inner| self.is_called(called, "") && has_members(inner))
                && let Some(inside) = self.member_in(inner, name, depth)
            {
                return Some(at + inside);
            }
        }
        None
    }

    fn is_called(&self, at: u32, name: &str) -> bool {
        let text = usize::try_from(at).ok().and_then(|at| self.strings.get(at..));
        text.is_some_and(|text| text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)))
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn kind(ty: &[u8]) -> Option<u32> {
    word(ty, 4).map(|info| (info >> 24) & 0x1f)
}

fn has_members(ty: &[u8]) -> bool {
    matches!(kind(ty), Some(STRUCT | UNION))
}

/// The length of the first type's description, in bytes.
fn len(types: &[u8]) -> Option<usize> {
    let count = usize::try_from(word(types, 4)? & 0xffff).ok()?;
    let more = match kind(types)? {
        1 | 14 | 17 => 4,                       // an integer, a variable, a tag on a declaration
        3 => 12,                                // an array
        STRUCT | UNION | 15 | 19 => 12 * count, // and a section, a longer enum
        6 | 13 => 8 * count,                    // an enum, a function's parameters
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    };
    Some(12 + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_thread_pointer_is_found() {
        // Fields of a structure without a name in it, and of one that is packed by bits, lie before it.
        let offset = thread_pointer().unwrap();
        assert!(offset > 0 && offset.is_multiple_of(8), "{offset}");
    }

    #[test]
    fn damaged_types_are_refused() {
        let data = fs::read(PATH).unwrap();
        assert!(Types::parse(&data).is_some_and(|types| types.member("task_struct", "no_such_field").is_none()));
        assert!(Types::parse(&data[..data.len() / 2]).is_none());
        assert!(Types::parse(&data[..30]).is_none());
        assert!(Types::parse(b"").is_none());
        let mut damaged = data;
        damaged[200..4000].fill(0xff);
        assert!(Types::parse(&damaged).is_none());
    }
}
