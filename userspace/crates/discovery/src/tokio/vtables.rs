//! tokio's task vtables, found by their shape; the base of all discovery.
//!
//! A `Vtable` is seven function pointers followed by three plain offsets; the same in every tokio from
//! 1.28 to 1.54. No symbol and no debug info is needed.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/raw.rs#L16-L51>

use serde::{Deserialize, Serialize};

use crate::{addr::ElfAddr, image::elf::Elf};
use asyncscope_trace::facts::TYPES_MAX;

/// One task vtable: one task type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vtable {
    /// The address it lies at.
    pub address: ElfAddr,
    /// `raw::poll::<T, S>`
    pub poll: ElfAddr,
    /// `raw::schedule::<S>`
    pub schedule: ElfAddr,
    /// `raw::dealloc::<T, S>`
    pub dealloc: ElfAddr,
    /// `raw::try_read_output::<T, S>`
    pub try_read_output: ElfAddr,
    /// `raw::drop_join_handle_slow::<T, S>`
    pub drop_join_handle_slow: ElfAddr,
    /// `raw::shutdown::<T, S>`
    pub shutdown: ElfAddr,
    /// The offset of the task's id, in bytes from its header.
    pub id_offset: u32,
}

impl Vtable {
    /// The offset of the trailer, which comes after the future, in bytes from the task's header.
    #[must_use]
    pub fn trailer_offset(&self, elf: &Elf<'_>) -> Option<u64> {
        elf.word(self.address.plus(FUNCTIONS * 8))
    }

    /// All functions of the table.
    pub(crate) fn functions(&self, elf: &Elf<'_>) -> impl Iterator<Item = ElfAddr> {
        (0..FUNCTIONS).filter_map(|place| elf.pointer(self.address.plus(place * 8)))
    }
}

const FUNCTIONS: u64 = 7;
/// `{ state, queue_next, vtable, owner_id }`: the scheduler cannot lie before its end.
const HEADER_LEN: u64 = 0x20;
/// The scheduler's alignment is 8, but cells are aligned to cache lines, at most 256 bytes.
const SCHEDULER_OFFSET_MAX: u64 = 0x100;
/// A scheduler is one or two pointers; a task hook adds a few words.
const SCHEDULER_LEN_MAX: u64 = 0x80;
/// A future larger than this would not fit a stack to be spawned from.
const TRAILER_OFFSET_MAX: u64 = 1 << 28;

/// All task vtables of the file, by address: those whose functions are known to start where they say.
#[must_use]
pub fn scan(elf: &Elf<'_>) -> Vec<Vtable> {
    scan_for(elf, |function| elf.function_at(function).is_some())
}

/// All tables of that shape whose functions lie in code. Where the file has unwind tables, there are no others.
#[must_use]
pub fn scan_shapes(elf: &Elf<'_>) -> Vec<Vtable> {
    scan_for(elf, |function| elf.file_offset(function).is_some())
}

fn scan_for(elf: &Elf<'_>, is_function: impl Fn(ElfAddr) -> bool) -> Vec<Vtable> {
    let mut found: Vec<Vtable> = Vec::new();
    let mut after = ElfAddr(0);
    for place in elf.pointer_places() {
        if place < after || !place.0.is_multiple_of(8) {
            continue;
        }
        if let Some(vtable) = vtable_at(elf, place, &is_function) {
            after = place.plus((FUNCTIONS + 3) * 8);
            found.push(vtable);
            if found.len() == TYPES_MAX {
                break;
            }
        }
    }
    found
}

fn vtable_at(elf: &Elf<'_>, address: ElfAddr, is_function: impl Fn(ElfAddr) -> bool) -> Option<Vtable> {
    let mut functions = [ElfAddr(0); FUNCTIONS as usize];
    for (place, function) in (0..).zip(&mut functions) {
        *function = elf.pointer(address.plus(place * 8)).filter(|&function| is_function(function))?;
    }
    let offset = |place: u64| {
        let at = address.plus((FUNCTIONS + place) * 8);
        let word = elf.word(at)?;
        (!elf.holds_address(at) && word.is_multiple_of(8)).then_some(word)
    };
    let (trailer, scheduler, id) = (offset(0)?, offset(1)?, offset(2)?);
    let plausible = (HEADER_LEN..=SCHEDULER_OFFSET_MAX).contains(&scheduler)
        && (scheduler..=scheduler + SCHEDULER_LEN_MAX).contains(&id)
        && (id + 8..TRAILER_OFFSET_MAX).contains(&trailer);
    let [poll, schedule, dealloc, try_read_output, drop_join_handle_slow, _, shutdown] = functions;
    plausible.then_some(Vtable {
        address,
        poll,
        schedule,
        dealloc,
        try_read_output,
        drop_join_handle_slow,
        shutdown,
        id_offset: u32::try_from(id).ok()?,
    })
}
