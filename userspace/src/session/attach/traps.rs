//! Where asyncscope's hooks are in the target's memory. A thread that the kernel holds there, outside of a system
//! call, is held in the hook's trap, which looks the hook up under a lock of the target's address space: that is no
//! doing of the function's in which the hook is.

use std::{collections::HashMap, os::unix::fs::MetadataExt as _};

use crate::probe::{Image, Probe};
use asyncscope_discovery::{
    addr::Bias,
    process::{
        Process,
        libraries::{self, MappedCode},
    },
    tokio::plan::Placement,
};

/// The length of the instruction that the kernel puts in a hook's place.
const TRAP_LEN: usize = 1;

/// The place where an off-CPU thread left user space, next to hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitPlace {
    /// In a trap of asyncscope's.
    Trap,
    /// In one, or at the instruction behind it: nothing distinguishes them.
    Either,
    /// In none.
    Elsewhere,
}

/// All hooks.
#[derive(Debug, Default)]
pub(crate) struct Traps {
    /// By the address in memory: the hooked instruction is longer than a trap.
    at: HashMap<u64, bool>,
    /// Libraries that were not found in memory so far: their inodes, and the hooks' offsets in the file.
    unplaced: Vec<(u64, Vec<(u64, bool)>)>,
    /// This round looked for them.
    looked: bool,
}

impl Traps {
    /// The hooks of the executable, which is the first of the images, and of libraries.
    pub(crate) fn of(images: &[Image], bias: Bias, probe: &Probe) -> Self {
        let refused = |placement: &Placement| match placement.program {
            program if program.sees_http() => probe.without_http().is_some(),
            program => !program.is_needed() && probe.without_prints().is_some(),
        };
        let armed = |image: &Image| {
            let all = image.placements.iter().filter(|placement| !refused(placement));
            all.map(|at| (at.clone(), at.bytes.len() > TRAP_LEN)).collect::<Vec<_>>()
        };
        let (executable, libraries) = images.split_at(images.len().min(1));
        let at = executable.iter().flat_map(armed).map(|(at, is_long)| (at.address.at_runtime(bias).0, is_long));
        let unplaced = libraries.iter().filter_map(|image| {
            let inode = image.held.as_ref()?.metadata().ok()?.ino();
            Some((inode, armed(image).into_iter().map(|(at, is_long)| (at.offset.0, is_long)).collect()))
        });
        Self { at: at.collect(), unplaced: unplaced.collect(), looked: false }
    }

    /// Takes note that a round of the drain loop begins.
    pub(crate) fn round(&mut self) {
        self.looked = false;
    }

    /// Returns where a thread left user space, by the address at which it did so by no system call: 0 where it
    /// did by one.
    pub(crate) fn exit_place(&mut self, outside: u64, process: &Process) -> ExitPlace {
        if outside == 0 {
            return ExitPlace::Elsewhere;
        }
        if !self.looked && !self.unplaced.is_empty() {
            self.looked = true;
            self.settle(|inode| libraries::code_of(process, inode));
        }
        self.known(outside)
    }

    /// Places the libraries that are mapped by now.
    fn settle(&mut self, code_of: impl Fn(u64) -> Vec<MappedCode>) {
        let Self { at, unplaced, .. } = self;
        unplaced.retain(|(inode, hooks)| {
            let mapped = code_of(*inode);
            for code in &mapped {
                at.extend(hooks.iter().filter_map(|&(offset, is_long)| Some((code.address_of(offset)?, is_long))));
            }
            mapped.is_empty()
        });
    }

    /// The processor stands behind the trap, until the kernel has found the hook and has it stand at the hook
    /// (`handle_swbp`): <https://github.com/torvalds/linux/blob/v6.12/kernel/events/uprobes.c>
    fn known(&self, outside: u64) -> ExitPlace {
        if self.at.contains_key(&outside) {
            return ExitPlace::Trap;
        }
        match self.at.get(&outside.wrapping_sub(TRAP_LEN as u64)) {
            Some(true) => ExitPlace::Trap,
            Some(false) => ExitPlace::Either,
            None => ExitPlace::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traps() -> Traps {
        Traps { at: [(0x1000, true), (0x2000, false)].into(), unplaced: vec![(7, vec![(0x310, true)])], looked: false }
    }

    #[test]
    fn a_thread_is_in_a_trap_at_a_hook_and_right_behind_it() {
        let traps = traps();
        assert_eq!([0x0fff, 0x1000, 0x1001, 0x1002].map(|at| traps.known(at)), {
            [ExitPlace::Elsewhere, ExitPlace::Trap, ExitPlace::Trap, ExitPlace::Elsewhere]
        });
        assert_eq!(traps.known(0x2000), ExitPlace::Trap);
        assert_eq!(traps.known(0x2001), ExitPlace::Either, "the next instruction begins there as well");
    }

    #[test]
    fn a_library_is_placed_once_it_is_mapped() {
        let mut traps = traps();
        traps.settle(|_| Vec::new());
        assert_eq!((traps.known(0x7310), traps.unplaced.len()), (ExitPlace::Elsewhere, 1));
        traps.settle(|inode| vec![MappedCode { start: inode << 12, end: (inode << 12) + 0x400, offset: 0 }]);
        assert_eq!((traps.known(0x7310), traps.unplaced.len()), (ExitPlace::Trap, 0));
    }

    #[test]
    fn what_left_by_a_system_call_is_in_none() {
        let traps = Traps { at: [(0, true)].into(), ..Traps::default() };
        assert_eq!({ traps }.exit_place(0, &Process::by_pid(std::process::id()).unwrap()), ExitPlace::Elsewhere);
    }
}
