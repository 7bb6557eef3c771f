//! Idle threads: those outside of every poll, proved from outside without stopping them.
//!
//! A thread that is asleep in a system call while its stack holds no return address into a poll
//! function is in no poll. Left-over words may look like such an address; the thread then stays
//! unproved, which is safe. That it slept all the while is told by its counts of context switches.

use super::{Process, procfs};
use crate::{
    addr::{Bias, RuntimeAddr},
    tokio::plan::Plan,
};

/// A deeper stack than this is not looked at.
const STACK_MAX: usize = 1 << 20;

/// The code in which a thread is while it polls, in the target's memory.
#[derive(Clone, Debug, Default)]
pub struct PollCode(Vec<(u64, u64)>);

impl PollCode {
    /// Returns the code that the plan found, by its addresses in memory.
    #[must_use]
    pub fn new(plan: &Plan, bias: Bias) -> Self {
        let mut ranges: Vec<_> = plan.poll_code.iter().map(|&(start, len)| (start.at_runtime(bias).0, len)).collect();
        ranges.sort_unstable();
        Self(ranges)
    }

    fn contains(&self, address: u64) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= address);
        after.checked_sub(1).is_some_and(|at| address - self.0[at].0 < self.0[at].1)
    }
}

/// The ranges mapped in the target's memory.
#[derive(Clone, Debug, Default)]
pub struct Mappings(Vec<(u64, u64)>);

impl Mappings {
    /// Reads them as they are now; none if the process has ended.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        Self(procfs::maps(process.pid).into_iter().map(|mapping| (mapping.range.start, mapping.range.end)).collect())
    }

    /// The end of the mapping that the address lies in.
    fn end_of(&self, address: u64) -> Option<u64> {
        let after = self.0.partition_point(|&(start, _)| start <= address);
        let (_, end) = *self.0.get(after.checked_sub(1)?)?;
        (address < end).then_some(end)
    }
}

/// The moment, as `now` tells it, at which the thread was outside of every poll; `None` if it was not, or
/// if that could not be proved.
pub fn is_outside(
    process: &Process,
    tid: u32,
    poll_code: &PollCode,
    mappings: &Mappings,
    now: impl FnOnce() -> u64,
) -> Option<u64> {
    let before = Sleep::of(process.pid, tid)?;
    let moment = now();
    let outside = stack_is_clear(process, before.stack_pointer, poll_code, mappings);
    (outside && Sleep::of(process.pid, tid)? == before).then_some(moment)
}

/// A thread asleep: where, and how often it has been switched away from.
#[derive(Debug, PartialEq, Eq)]
struct Sleep {
    stack_pointer: u64,
    switches: (u64, u64),
}

impl Sleep {
    /// `None` if the thread is not asleep in a system call, or may not be looked at.
    fn of(pid: u32, tid: u32) -> Option<Self> {
        let switches = procfs::status(pid, tid).ok()?.switches;
        Some(Self { stack_pointer: procfs::sleeping_stack_pointer(pid, tid)?, switches })
    }
}

fn stack_is_clear(process: &Process, stack_pointer: u64, poll_code: &PollCode, mappings: &Mappings) -> bool {
    let Some(end) = mappings.end_of(stack_pointer) else { return false };
    let len = usize::try_from(end - stack_pointer).unwrap_or(usize::MAX);
    if len > STACK_MAX {
        return false;
    }
    let mut stack = vec![0; len];
    if process.read_memory(RuntimeAddr(stack_pointer), &mut stack) < len {
        return false;
    }
    let mut words = stack.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
    !words.any(|word| poll_code.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::ElfAddr;

    #[test]
    fn knows_poll_code() {
        let plan = Plan { poll_code: vec![(ElfAddr(0x100), 0x10), (ElfAddr(0x200), 8)], ..Plan::default() };
        let code = PollCode::new(&plan, Bias(0x1000));
        let check = |address, expected| assert_eq!(code.contains(address), expected, "{address:#x}");
        check(0x10ff, false);
        check(0x1100, true);
        check(0x110f, true);
        check(0x1110, false);
        check(0x1207, true);
        check(0x1208, false);
        check(0, false);
    }

    #[test]
    fn knows_where_a_mapping_ends() {
        let mappings = Mappings(vec![(0x1000, 0x3000), (0x3000, 0x4000), (0x8000, 0x9000)]);
        let check = |address, end| assert_eq!(mappings.end_of(address), end, "{address:#x}");
        check(0xfff, None);
        check(0x1000, Some(0x3000));
        check(0x2fff, Some(0x3000));
        check(0x3000, Some(0x4000));
        check(0x4000, None);
        check(0x8fff, Some(0x9000));
    }
}
