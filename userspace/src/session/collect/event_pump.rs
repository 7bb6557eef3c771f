//! The events of an attached target, drained, decoded and put in order, round by round.

use std::collections::VecDeque;

use anyhow::Result;
use hashbrown::HashSet;

use super::{redact::redact, sampler::Sampler};
use crate::probe::{AttachMode, Losses, StillOffCpu};
use crate::session::{attach::attached::Attached, clock::monotonic_ns};
use asyncscope_discovery::process::idle_threads;
use asyncscope_trace::event::{
    At, Event, Origin, TaskRef, What,
    decode::decode,
    order::{CpuRound, Order},
    thread_name,
};
use asyncscope_trace::facts::NotSeen;

/// A thread's rest is looked for in one round out of this many.
const REST_EVERY: u32 = 5;
/// The number of threads looked at in one such round, by turns.
const REST_AT_A_TIME: usize = 64;
/// No more often than this for one thread.
const REST_TRIES: u32 = 400;

/// An `exec` that other threads keep waiting takes not so many rounds.
const BLIND_ROUNDS: u32 = 50;

/// The source of events while a target is watched.
#[derive(Debug)]
pub(crate) struct EventPump {
    /// The maker of events of stacks, where such are taken.
    sampler: Option<Sampler>,
    order: Order,
    named: HashSet<u32>,
    /// Threads that may be inside a poll that began before the hooks were armed, and tries so far.
    unproved: VecDeque<(u32, u32)>,
    rounds: u32,
    /// All hooks are in place from the first to the second of these times, in nanoseconds.
    from: u64,
    until: u64,
    /// Until when it certainly was this program that ran, in nanoseconds, and what was lost by then.
    sure: (u64, Losses),
    became_another: bool,
    /// Rounds in which the hooks saw nothing, since the target's first thread had left.
    blind: u32,
    /// The number of system calls that were not seen, and the time of the last look, in nanoseconds.
    left_out: (u64, u64),
    /// Records that could not be decoded: none, unless probe and agent differ in version.
    undecoded: u64,
}

impl EventPump {
    pub(crate) fn new(attached: &mut Attached) -> Self {
        let sampler = sampler(attached);
        let threads = attached.facts.threads.iter().map(|thread| (thread.tid, 0));
        // Samples say themselves which task they are of.
        let needs_no_rest = attached.facts.from_first_instruction || attached.facts.sampling.is_some();
        let mut pump = Self {
            sampler,
            order: Order::new(attached.facts.armed.monotonic_ns),
            named: HashSet::new(),
            unproved: if needs_no_rest { VecDeque::new() } else { threads.collect() },
            rounds: 0,
            from: attached.facts.armed.monotonic_ns,
            until: u64::MAX,
            sure: (attached.facts.armed.monotonic_ns, Losses::default()),
            became_another: false,
            blind: 0,
            left_out: (0, attached.facts.armed.monotonic_ns),
            undecoded: 0,
        };
        pump.look_for_rest(attached);
        pump
    }

    /// Takes what is there, and hands on what is certain to be in order.
    pub(crate) fn round(&mut self, attached: &mut Attached, sink: &mut impl FnMut(Event)) -> Result<()> {
        if self.rounds.is_multiple_of(REST_EVERY) {
            self.look_for_rest(attached);
        }
        self.rounds = self.rounds.wrapping_add(1);
        // This order is what makes a round's events complete: see `Order`.
        let time = monotonic_ns();
        let losses = attached.probe.losses()?;
        let attempted = attached.probe.attempted()?;
        self.drain(attached);
        self.look_for_calls(attached, time)?;
        let cpus = attempted.iter().enumerate().map(|(cpu, &attempted)| CpuRound {
            cpu: cpu as u16,
            attempted,
            lost: losses.missing_from(cpu),
        });
        self.order.drained(&cpus.collect::<Vec<_>>(), time);
        self.still_this_program(attached, time, losses);
        let (from, until) = (self.from, self.until);
        self.order.pop(&mut |event| {
            inside(event, from, until).into_iter().for_each(&mut *sink);
        });
        Ok(())
    }

    /// Makes a gap, from the look before on, where system calls were not seen. What was concluded meanwhile may be
    /// wrong: of two responses the first may be missing.
    fn look_for_calls(&mut self, attached: &Attached, time: u64) -> Result<()> {
        let (count, since) = self.left_out;
        let now = attached.probe.calls_left_out()?;
        if let Some(lost) = now.checked_sub(count).filter(|&lost| lost > 0) {
            let at = At { time: monotonic_ns(), ..At::default() };
            self.order.push(Event { at, what: What::Gap { since, lost } });
        }
        self.left_out = (now, time);
        Ok(())
    }

    /// Notes up to when it certainly was this program that ran: what has been drained is its own if its memory is
    /// there after that. If it is not, all since the last such moment may be of another one, whose tasks have the
    /// same ids: the recording ends there.
    fn still_this_program(&mut self, attached: &Attached, time: u64, losses: Losses) {
        if self.became_another || attached.process.became_another() {
            self.became_another = true;
            self.until = self.until.min(self.sure.0);
        } else if is_blind(attached) {
            self.blind = self.blind.saturating_add(1);
            self.until = self.until.min(self.sure.0);
        } else {
            self.sure = (time, losses);
        }
    }

    /// Returns `true` if the hooks have seen nothing for so long that no `exec` is what they wait for.
    pub(super) fn is_blind(&self) -> bool {
        self.blind >= BLIND_ROUNDS
    }

    /// Returns `true` if the process has become another program, which ended what is watched.
    pub(super) fn became_another(&self) -> bool {
        self.became_another
    }

    /// Returns what was not seen: by the probe, and on the agent's own side.
    pub(super) fn lost(&self) -> Vec<NotSeen> {
        let by_probe = self.sure.1.by_kind().into_iter().map(|(loss, count)| NotSeen::new(loss.name(), count));
        by_probe.chain(self.agents_own()).collect()
    }

    /// Hands on the threads that were off the CPU at the end, and before.
    pub(super) fn still_off_cpu(
        &mut self,
        attached: &Attached,
        off_cpu: &[StillOffCpu],
        end_ns: u64,
        sink: &mut dyn FnMut(Event),
    ) {
        let Some(sampler) = &mut self.sampler else { return };
        for off_cpu in off_cpu.iter().filter(|off_cpu| off_cpu.since <= end_ns) {
            let at = At { time: end_ns, tid: off_cpu.tid, sp: off_cpu.sp, ..At::default() };
            sampler.still_off_cpu(off_cpu, at, &attached.process, sink);
        }
    }

    /// Ends what is watched, and returns the time: from here on hooks go, one kind after the other, and what the rest
    /// of them see is no whole picture.
    pub(super) fn end(&mut self) -> u64 {
        self.until = self.until.min(monotonic_ns());
        self.until
    }

    /// Takes the last round, after the hooks are gone.
    pub(super) fn last(&mut self, attached: &mut Attached, sink: &mut impl FnMut(Event)) -> Result<()> {
        self.round(attached, sink)?;
        let (from, until) = (self.from, self.until);
        self.order.finish(&mut |event| {
            inside(event, from, until).into_iter().for_each(&mut *sink);
        });
        Ok(())
    }

    /// Returns what went wrong on the agent's own side, by kind.
    fn agents_own(&self) -> impl Iterator<Item = NotSeen> {
        let irregular = self.order.irregular();
        let kinds = [
            ("undecoded", self.undecoded),
            ("calls-left-out", self.left_out.0),
            ("late", irregular.late),
            ("repeated", irregular.repeated),
            ("forced", irregular.forced),
        ];
        kinds.into_iter().filter(|&(_, count)| count > 0).map(|(kind, count)| NotSeen::new(kind, count))
    }

    fn drain(&mut self, attached: &mut Attached) {
        let Self { sampler, order, named, undecoded, .. } = self;
        let Attached { process, redacted, probe, .. } = attached;
        if let Some(sampler) = sampler {
            sampler.round();
        }
        let mut emit = |event: Event| {
            if named.insert(event.at.tid)
                && let Some(name) = process.thread_name(event.at.tid)
            {
                let name = thread_name(name.as_bytes());
                order.push(Event { at: At { sp: 0, ..event.at }, what: What::ThreadName { name } });
            }
            order.push(event);
        };
        probe.drain(&mut |record| match decode(record) {
            Err(_)
                if let Some(sampler) = sampler
                    && sampler.takes(record, process, &mut emit) => {}
            Ok(mut event) => {
                if *redacted {
                    redact(&mut event);
                }
                if let (What::SpawnedBy { task: TaskRef { id: Some(id), .. }, .. }, Some(sampler)) =
                    (&event.what, &mut *sampler)
                {
                    sampler.spawned(*id);
                }
                emit(event);
            }
            Err(_) => *undecoded += 1,
        });
    }

    fn look_for_rest(&mut self, attached: &Attached) {
        if self.unproved.is_empty() {
            return;
        }
        let mappings = idle_threads::Mappings::of(&attached.process);
        for _ in 0..self.unproved.len().min(REST_AT_A_TIME) {
            let Some((tid, tries)) = self.unproved.pop_front() else { break };
            let proved = idle_threads::is_outside(&attached.process, tid, &attached.poll_code, &mappings, monotonic_ns);
            match proved {
                Some(time) => {
                    let at = At { time, tid, ..At::default() };
                    self.order.push(Event { at, what: What::ThreadAtRest });
                }
                None if tries + 1 < REST_TRIES => self.unproved.push_back((tid, tries + 1)),
                None => {}
            }
        }
    }
}

/// Returns the unwinder, where stacks are taken.
fn sampler(attached: &mut Attached) -> Option<Sampler> {
    let (lines, traps) = (attached.lines.take()?, std::mem::take(&mut attached.traps));
    let Attached { process, facts, vtables, .. } = attached;
    Some(Sampler::new(process, lines, &facts.polls, vtables.clone(), traps))
}

/// Returns `true` if the hooks are gone. Those that are attached one by one are the first thread's: the kernel takes
/// them out of the memory of the others once it has left.
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/trace/trace_uprobe.c#L1338-L1356>
fn is_blind(attached: &Attached) -> bool {
    attached.probe.way() == AttachMode::Single && attached.process.first_thread_left()
}

/// Returns the event, as far as it belongs to that time. Of off-CPU time that the end fell into, the part before.
fn inside(mut event: Event, from: u64, until: u64) -> Option<Event> {
    if matches!(event.what, What::OffCpu { since, .. } if since <= until) {
        event.at.time = event.at.time.min(until);
    }
    is_inside(&event, from, until).then_some(event)
}

/// Returns `true` if the event belongs to the time in which all hooks were in place.
fn is_inside(event: &Event, from: u64, until: u64) -> bool {
    match event.what {
        What::Gap { since, .. } => event.at.time >= from && since <= until,
        // Reported once; the chain may be awaited later as well.
        What::Frames { .. } => true,
        _ if event.what.origin() == Origin::Bookkeeping => true,
        _ => (from..=until).contains(&event.at.time),
    }
}
