//! Records of HTTP messages: put together in a per-CPU slot, and written with just their length.

use aya_ebpf::{btf_maps::PerCpuArray, helpers::generated, macros::btf_map};
use probe_common::{
    loss::Loss,
    message_builder::MessageBuilder,
    record::{Change, Kind, MESSAGE_MAX, Message, Source, Stream, VALUE_MAX},
};

use crate::{
    emit::{emit, lost, output},
    regs::Interrupted,
    running,
};

/// The target's threads may be preempted inside a program, and another of them may run one on the same
/// CPU: a slot is held by one program at a time.
pub const SLOTS: usize = 4;

/// A draft, and whether a program holds it.
#[repr(C)]
pub struct Slot {
    held: u64,
    /// Its number on its CPU.
    pub index: u64,
    pub draft: MessageBuilder,
}

#[btf_map]
static DRAFTS: PerCpuArray<Slot, SLOTS> = PerCpuArray::new();

/// A slot that nobody else holds, with an empty draft. It must be given back.
#[inline(always)]
pub fn take() -> Option<&'static mut Slot> {
    let mut index = 0;
    while index < SLOTS as u32 {
        let slot = DRAFTS.get_ptr_mut(index)?;
        // SAFETY: the slot lies in a map's value, which outlives the program's run; programs of this CPU
        // may only be nested, and exchange `held` before they touch the rest.
        let slot = unsafe { &mut *slot };
        if exchange(&mut slot.held, 1) == 0 {
            slot.index = u64::from(index);
            slot.draft.clear();
            return Some(slot);
        }
        index += 1;
    }
    lost(Loss::NoSlot);
    None
}

/// Gives the slot back, with nothing left in it.
#[inline(always)]
pub fn give_back(slot: &mut Slot) {
    slot.draft.clear();
    exchange(&mut slot.held, 0);
}

/// Copies a value of the target's to the draft's end: the header at this place of the list of allowed
/// names, at most [`VALUE_MAX`] bytes of it. `false` if there is no room for another value, or the memory
/// cannot be read; then the draft must not be used further.
#[inline(always)]
pub fn value_from_target(draft: &mut MessageBuilder, name: u8, address: u64, len: u64) -> bool {
    if !draft.begin_value(name) {
        return false;
    }
    let copied = if len > VALUE_MAX as u64 { VALUE_MAX as u64 } else { len } as u32;
    let to = draft.room(copied);
    draft.set_value(copied as u8, len > u64::from(copied));
    copy(to, copied, address)
}

/// Copies not more than 255 bytes of the target's; `to` has room for them. `false` if they cannot be read.
#[inline(always)]
pub fn copy(to: *mut u8, len: u32, from: u64) -> bool {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    unsafe { generated::bpf_probe_read_user(to.cast(), len & 0xff, from as *const _) == 0 }
}

/// Writes the draft's record.
#[inline(always)]
pub fn message(thread: &impl Interrupted, draft: &mut MessageBuilder, source: Source, key: u64) {
    draft.record.stream = key;
    draft.record.source = source as u8;
    if running::is_wanted() {
        let id = running::task();
        if id.is_none() {
            lost(Loss::RunningUnreadable);
        }
        draft.set_by(id);
    }
    let len = draft.record_len();
    // Never: but the verifier must see it.
    if len < size_of::<Message>() as u32 || len > MESSAGE_MAX as u32 {
        return;
    }
    output(thread, Kind::Message, len, |head| {
        draft.record.head = head;
        (&raw const *draft).cast()
    });
}

/// Writes that a connection changed.
#[inline(always)]
pub fn change(thread: &impl Interrupted, source: Source, key: u64, change: Change) {
    emit(thread, Kind::Stream, 0, |head| Stream {
        head,
        stream: key,
        source: source as u8,
        change: change as u8,
        zero: [0; 6],
    });
}

/// Sets the word, and returns what was there.
#[inline(always)]
pub fn exchange(word: *mut u64, new: u64) -> u64 {
    // SAFETY: the word lies in a map's value.
    unsafe { core::intrinsics::atomic_xchg::<u64, { core::intrinsics::AtomicOrdering::AcqRel }>(word, new) }
}
