//! Makes events of the stacks that the probe takes, of samples and of off-CPU threads: they are unwound here, and
//! end here as bytes.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use probe_common::record::{self, Head, flags};

use super::task_types::TaskTypes;
use crate::probe::StillOffCpu;
use crate::session::attach::traps::{ExitPlace, Traps};
use asyncscope_discovery::{
    addr::RuntimeAddr,
    image::lines::Lines,
    process::{Process, procfs},
};
use asyncscope_trace::{
    event::{
        At, Ended, Event, Running, TaskId, What,
        sample::{Taken, TakenOffCpu, off_cpu_outside},
    },
    facts::{Function, FunctionName, PollFunction, shortened},
};
use asyncscope_unwind::{Modules, Registers, Unwound, unwind};

/// The mappings are looked up again at code that is not known, but in one round out of this many.
const LOOK_EVERY: u32 = 25;
/// Stacks and addresses that are known to have been reported; beyond, they are reported again.
const REPORTED_MAX: usize = 1 << 18;

/// The unwinder, which knows which stacks and which code were reported.
#[derive(Debug)]
pub(super) struct Sampler {
    modules: Modules,
    lines: Lines,
    /// By start address.
    polls: Vec<(u64, u64)>,
    /// Rounds since modules were looked up.
    rounds: u32,
    stacks: HashSet<u64>,
    code: HashSet<u64>,
    types: TaskTypes,
    /// Task vtables, with the place of the id in a header.
    vtables: HashMap<u64, u32>,
    traps: Traps,
}

/// The part of a stack that was copied, from the stack pointer on, and the registers then.
#[derive(Clone, Copy, Debug)]
struct Copied<'a> {
    registers: Registers,
    stack: &'a [u8],
}

impl Copied<'_> {
    /// The word at an address in the target.
    fn word(&self, address: u64) -> Option<u64> {
        let from = usize::try_from(address.wrapping_sub(self.registers.sp)).ok()?;
        let word = self.stack.get(from..from.checked_add(8)?)?;
        word.try_into().ok().map(u64::from_le_bytes)
    }
}

/// A stretch off the CPU.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// The time at which it began, in nanoseconds of `CLOCK_MONOTONIC`.
    since: u64,
    /// As in a [`record::OffCpuOutside`]; else 0.
    outside: u64,
    /// True if nobody saw it end.
    end_unseen: bool,
}

impl Sampler {
    pub(super) fn new(
        process: &Process,
        lines: Lines,
        polls: &[PollFunction],
        vtables: HashMap<u64, u32>,
        traps: Traps,
    ) -> Self {
        let mut polls: Vec<_> = polls.iter().map(|code| (code.start, code.end)).collect();
        polls.sort_unstable();
        let (stacks, code) = (HashSet::new(), HashSet::new());
        let (modules, types) = (modules(process), TaskTypes::default());
        Self { modules, lines, polls, rounds: LOOK_EVERY, stacks, code, types, vtables, traps }
    }

    /// Takes note that a round of the drain loop begins.
    pub(super) fn round(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.traps.round();
    }

    /// Takes note that a task was spawned, which says its type.
    pub(super) fn spawned(&mut self, id: TaskId) {
        self.types.is_known(id);
    }

    /// Emits what one of the probe's records says, if it is one that has to be unwound or looked up; before it the
    /// stack and the code if they are new.
    pub(super) fn takes(&mut self, record: &[u8], process: &Process, emit: &mut dyn FnMut(Event)) -> bool {
        if let Some(taken) = Taken::read(record) {
            let record::Sample { head, ip, bp, bx, r, .. } = taken.sample;
            let registers = Registers { ip, sp: head.sp, bp, bx, r };
            let copied = Copied { registers, stack: taken.stack };
            let unwound = self.unwound(copied, process);
            if let (Running::Task(id), Ended::Poll) = (taken.running(), unwound.ended) {
                let memory = |address| word(|to| process.read_memory(RuntimeAddr(address), to));
                let found =
                    self.types.find(id, &unwound.registers, &self.vtables, |address| copied.word(address), memory);
                found.into_iter().for_each(|task| emit(Event { at: before(head), what: What::Typed { task } }));
            }
            let stack = self.stack(at(head), unwound, emit);
            let what = What::Sample { running: taken.running(), stack, in_kernel: taken.is_in_kernel() };
            emit(Event { at: at(head), what });
            return true;
        }
        let (head, since, outside, taken) = match (TakenOffCpu::read(record), off_cpu_outside(record)) {
            (Some(taken), _) => (taken.off_cpu.head, taken.off_cpu.since, taken.off_cpu.outside, Some(taken)),
            (None, Some(record::OffCpuOutside { head, since, outside })) => (head, since, outside, None),
            (None, None) => return false,
        };
        let stretch = Stretch { since, outside, end_unseen: head.flags & flags::END_UNSEEN != 0 };
        self.off_cpu(at(head), stretch, taken.as_ref(), process, emit);
        true
    }

    /// Emits that a thread is off the CPU still.
    pub(super) fn still_off_cpu(
        &mut self,
        off_cpu: &StillOffCpu,
        at: At,
        process: &Process,
        emit: &mut dyn FnMut(Event),
    ) {
        let taken = off_cpu.taken.as_deref().and_then(TakenOffCpu::kept);
        let stretch = Stretch { since: off_cpu.since, outside: off_cpu.outside, end_unseen: true };
        self.off_cpu(at, stretch, taken.as_ref(), process, emit);
    }

    /// Emits a stretch off the CPU, with its stack only where that is the target's doing.
    fn off_cpu(
        &mut self,
        at: At,
        Stretch { since, outside, end_unseen }: Stretch,
        taken: Option<&TakenOffCpu<'_>>,
        process: &Process,
        emit: &mut dyn FnMut(Event),
    ) {
        let place = self.traps.exit_place(outside, process);
        let stack = match taken.filter(|_| place == ExitPlace::Elsewhere) {
            Some(taken) => {
                let unwound = self.unwound(copied(taken), process);
                self.stack(at, unwound, emit)
            }
            None => 0,
        };
        emit(Event { at, what: What::OffCpu { since, stack, in_trap: place == ExitPlace::Trap, end_unseen } });
    }

    /// Emits a stack, if it is new.
    fn stack(&mut self, at: At, unwound: Unwound, emit: &mut dyn FnMut(Event)) -> u64 {
        let stack = key(&unwound);
        let before = At { sp: 0, ..at };
        if is_new(&mut self.stacks, stack) {
            for &address in &unwound.frames {
                self.emit_code(before, address, emit);
            }
            let Unwound { frames, ended, .. } = unwound;
            emit(Event { at: before, what: What::Stack { stack, ended, frames } });
        }
        stack
    }

    fn unwound(&mut self, copied: Copied<'_>, process: &Process) -> Unwound {
        let unwound = self.attempt(copied);
        // A library may have come since.
        if unwound.ended == Ended::NoModule && self.rounds >= LOOK_EVERY {
            self.rounds = 0;
            self.modules = modules(process);
            return self.attempt(copied);
        }
        unwound
    }

    fn attempt(&self, copied: Copied<'_>) -> Unwound {
        let read = |address| copied.word(address).ok_or(());
        unwind(&self.modules, copied.registers, read, |address| self.is_poll(address))
    }

    fn is_poll(&self, address: u64) -> bool {
        let after = self.polls.partition_point(|&(start, _)| start <= address);
        after.checked_sub(1).and_then(|at| self.polls.get(at)).is_some_and(|&(_, end)| address < end)
    }

    fn emit_code(&mut self, at: At, address: u64, emit: &mut dyn FnMut(Event)) {
        if !is_new(&mut self.code, address) {
            return;
        }
        let module = self.modules.of(address);
        let own = module.is_some_and(|module| module.bias == self.lines.bias());
        let mut functions = if own { self.lines.functions(address) } else { Vec::new() };
        if let Some(module) = module.filter(|_| functions.is_empty()) {
            let file = module.name.rsplit('/').next().unwrap_or_default();
            let start = module.function_start(address).unwrap_or(address).wrapping_sub(module.bias);
            let name = FunctionName::Unnamed { module: shortened(file).to_owned(), start };
            functions.push(Function { name, ..Function::default() });
        }
        emit(Event { at, what: What::Code { address, functions } });
    }
}

fn copied<'a>(taken: &TakenOffCpu<'a>) -> Copied<'a> {
    let record::OffCpuStack { head, ip, bp, bx, r, .. } = taken.off_cpu;
    Copied { registers: Registers { ip, sp: head.sp, bp, bx, r }, stack: taken.stack }
}

fn at(head: Head) -> At {
    At { time: head.time, cpu: head.cpu, seq: head.seq, tid: head.tid, sp: head.sp }
}

/// Returns the place of what is emitted before the record of this head.
fn before(head: Head) -> At {
    At { sp: 0, ..at(head) }
}

/// Returns the word that `read` reads, which says how many bytes it read.
fn word(read: impl FnOnce(&mut [u8]) -> usize) -> Option<u64> {
    let mut word = [0; 8];
    (read(&mut word) == word.len()).then(|| u64::from_le_bytes(word))
}

/// Returns `true` if it was not reported before. Beyond [`REPORTED_MAX`] that is not noted.
fn is_new(reported: &mut HashSet<u64>, key: u64) -> bool {
    if reported.len() < REPORTED_MAX { reported.insert(key) } else { !reported.contains(&key) }
}

fn modules(process: &Process) -> Modules {
    // Without its mappings no code is known, and every stack says so.
    Modules::find(&procfs::maps(process.pid), &mut |at, to| process.read_memory(RuntimeAddr(at), to))
}

/// Returns one key for equal stacks. 0 is no stack's.
fn key(unwound: &Unwound) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&unwound.frames, unwound.ended as u32).hash(&mut hasher);
    hasher.finish().max(1)
}
