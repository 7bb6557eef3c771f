//! The types of tasks that were spawned before the hooks were armed, in a run that samples.
//!
//! A poll function holds the header of the task that it polls, in a register or on its stack. So do those of the
//! tasks around it. Every word there that may be an address is followed: where there is a known vtable, and the
//! id that tokio says runs, that is the task's header, and the vtable its type. Ids are used once.

use std::collections::HashMap;

use asyncscope_trace::event::{TaskId, TaskRef};
use asyncscope_unwind::Registers;

/// Around the poll function's stack pointer, this many bytes to both sides: its own frame, and that of what it calls.
const REACH_BYTES: u64 = 1024;
/// Samples of a task that are looked through before its type stays unknown.
const TRIES: u8 = 16;
/// Tasks remembered. Beyond, all are forgotten, and some are looked for again.
const TASKS_MAX: usize = 1 << 14;
/// `{ state, queue_next, vtable, … }`
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/core.rs#L159-L190>
const VTABLE_OFFSET: u64 = 16;

/// The tasks whose types are known, or were looked for in vain.
#[derive(Debug, Default)]
pub(super) struct TaskTypes {
    tries: HashMap<TaskId, u8>,
}

impl TaskTypes {
    /// Takes note that the type of this task is known by its spawn.
    pub(super) fn is_known(&mut self, id: TaskId) {
        self.note(id, TRIES);
    }

    fn note(&mut self, id: TaskId, tries: u8) {
        if self.tries.len() >= TASKS_MAX {
            self.tries.clear();
        }
        self.tries.insert(id, tries);
    }

    /// Looks for the header of the task in what a poll function's frame holds. `registers` are those in it,
    /// `vtables` known ones with the place of the id in a header; both functions read a word, of the copied stack
    /// and of the target's memory.
    pub(super) fn find(
        &mut self,
        id: TaskId,
        registers: &Registers,
        vtables: &HashMap<u64, u32>,
        stack: impl Fn(u64) -> Option<u64>,
        memory: impl Fn(u64) -> Option<u64>,
    ) -> Option<TaskRef> {
        let tries = self.tries.get(&id).copied().unwrap_or(0);
        if tries >= TRIES {
            return None;
        }
        let header = |header: u64| {
            let vtable = memory(header.checked_add(VTABLE_OFFSET)?)?;
            let &id_offset = vtables.get(&vtable)?;
            let found = memory(header.checked_add(id_offset.into())?)?;
            (found == id.0).then_some(TaskRef { header, id: Some(id), vtable })
        };
        let Registers { sp, bp, bx, r, .. } = *registers;
        let around = (sp.saturating_sub(REACH_BYTES) & !7..sp.saturating_add(REACH_BYTES)).step_by(8);
        let near = |word: &u64| word.abs_diff(sp) < 1 << 20;
        let words = [bx, bp].into_iter().chain(r).chain(around.filter_map(stack));
        let found =
            words.filter(|word| word % 8 == 0 && *word >> 12 != 0 && *word >> 47 == 0 && !near(word)).find_map(header);
        self.note(id, if found.is_some() { TRIES } else { tries + 1 });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SP: u64 = 0x7000_0000_0000;
    const HEADER: u64 = 0x5000_0000;
    const VTABLE: u64 = 0x4000_0000;

    fn memory(address: u64) -> Option<u64> {
        match address - HEADER {
            16 => Some(VTABLE),
            0x28 => Some(7),
            _ => None,
        }
    }

    #[test]
    fn a_header_is_one_if_it_holds_a_vtable_and_the_id() {
        let vtables = HashMap::from([(VTABLE, 0x28)]);
        let find = |id, bx, at: u64| {
            let registers = Registers { sp: SP, bx, ..Registers::default() };
            let stack = |address| (address == at).then_some(HEADER);
            TaskTypes::default().find(TaskId(id), &registers, &vtables, stack, |address| {
                address.checked_sub(HEADER).and_then(|_| memory(address))
            })
        };
        let found = Some(TaskRef { header: HEADER, id: Some(TaskId(7)), vtable: VTABLE });
        assert_eq!(find(7, HEADER, 0), found);
        assert_eq!(find(7, 3, SP + 0x20), found);
        assert_eq!(find(7, 3, SP - 0x20), found);
        assert_eq!(find(7, 3, SP + 0x2000), None); // too far
        assert_eq!(find(8, HEADER, 0), None); // another task's
        assert_eq!(find(7, HEADER + 8, 0), None);
    }

    #[test]
    fn it_is_looked_for_so_often_and_no_more() {
        let (mut types, vtables) = (TaskTypes::default(), HashMap::from([(VTABLE, 0x28)]));
        let find = |types: &mut TaskTypes, bx| {
            let registers = Registers { sp: SP, bx, ..Registers::default() };
            types.find(TaskId(7), &registers, &vtables, |_| None, |address| memory(address.max(HEADER))).is_some()
        };
        (0..TRIES).for_each(|_| assert!(!find(&mut types, 0)));
        assert!(!find(&mut types, HEADER));
        let mut others = TaskTypes::default();
        assert!(find(&mut others, HEADER));
        assert!(!find(&mut others, HEADER)); // it is reported once
    }
}
