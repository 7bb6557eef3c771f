//! A function followed from its entry, or from the point after something was polled, on all ways at once.
//!
//! States meet where ways do, so the work is bounded by the code and not by the number of ways. What differs where they
//! meet is not known from there on.

mod calls;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
};

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, OpKind};

use super::{
    machine::{DecidedBy, Machine},
    memory::{Assumed, MachineState},
    takes::Takes,
    value::{Base, CodeValue, Place, Places, Taint},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::{Body, Code, Target},
        table,
    },
    image::panic_location::ResumedMessage,
};

/// More instructions are not run in one go.
const RUN_MAX: usize = 400_000;
/// More places where ways meet are not kept.
const STATES_MAX: usize = 8192;
/// More things are not polled in one function.
const EVENTS_MAX: usize = 64;

/// A call that gets a future and its `Context`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PollCall {
    /// The function; `None`: the one in the vtable that lies in the future.
    pub(super) function: Option<ElfAddr>,
    /// The place of the vtable's address.
    pub(super) table: Option<Place>,
    /// The arguments that lead into the future or to the `Context`, by their places.
    pub(super) arguments: Vec<(usize, CodeValue)>,
}

/// The things that a function does first, on all ways.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstSeen {
    /// The polls, in the order of finding, and the states in which it goes on behind each, by instruction.
    pub(super) events: Vec<(PollCall, BTreeMap<usize, MachineState>)>,
    /// Of these, which are reached with the future as it was.
    pub(super) quiet: BTreeSet<PollCall>,
    /// The panics of resumed bodies that it comes to.
    pub(super) panics: BTreeSet<(ResumedMessage, ElfAddr)>,
    /// It returns: what it leaves in the bytes that were asked for, and whether the future was left as it was.
    pub(super) returns: BTreeSet<(Vec<Option<u8>>, bool)>,
    /// The places of the future that decide, with what they are compared with, in the order of finding.
    pub(super) decisions: Vec<(Place, BTreeSet<u64>)>,
    /// Something else of the future decides.
    pub(super) decides_otherwise: bool,
    /// It did not come to an end everywhere.
    pub(super) stopped: Option<Stop>,
    /// The functions that get the future without a `Context`.
    pub(super) helpers: Vec<(ElfAddr, MachineState)>,
    /// The numbers that it stores to single bytes.
    pub(super) stores: BTreeMap<(Base, i64), BTreeSet<u8>>,
}

/// The reasons to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stop {
    /// Too much code.
    Budget,
    /// A jump whose targets are not known.
    Jump,
    /// A call that may get the `Context`, of what is not known.
    Call,
    /// A part of the code is not there.
    NoCode,
}

/// Everything that stays the same while one file is looked at.
pub(super) struct Ground<'g, 'e, 'data> {
    pub(super) code: &'g Code<'e, 'data>,
    pub(super) places: Places,
    pub(super) takes: Takes,
    /// The instructions that may still be run.
    pub(super) left: Cell<usize>,
}

/// One function and what is asked of it.
pub(super) struct PollFlow<'f, 'g, 'e, 'data> {
    pub(super) ground: &'f Ground<'g, 'e, 'data>,
    pub(super) body: &'f Body,
    /// The things that are taken for granted.
    pub(super) assumed: &'f Assumed,
    /// The bytes whose last stores are told apart.
    pub(super) held: &'f [Place],
    /// Only from this place on it is the future: before lies the rest of a task.
    pub(super) from: i64,
    /// Go on behind what is polled.
    pub(super) through: bool,
    /// The places of `Context`s on the stack.
    pub(super) contexts: &'f RefCell<BTreeSet<i64>>,
}

/// The end of a call.
enum CallEnd {
    Passed,
    Ends,
}

type MeetingPoint = (usize, Vec<Option<u8>>, bool);

struct FlowRun<'r, 'f, 'g, 'e, 'data> {
    flow: &'r PollFlow<'f, 'g, 'e, 'data>,
    machine: Machine<'r, 'data>,
    seen: FirstSeen,
    states: HashMap<MeetingPoint, MachineState>,
    pending: BTreeSet<MeetingPoint>,
    info: InstructionInfoFactory,
}

impl PollFlow<'_, '_, '_, '_> {
    /// Follows the function from these instructions on.
    pub(super) fn run(&self, starts: impl IntoIterator<Item = (usize, MachineState)>) -> FirstSeen {
        let machine = Machine { elf: self.ground.code.elf, places: &self.ground.places, assumed: self.assumed };
        let info = InstructionInfoFactory::new();
        let (states, pending) = (HashMap::new(), BTreeSet::new());
        let mut run = FlowRun { flow: self, machine, seen: FirstSeen::default(), states, pending, info };
        starts.into_iter().for_each(|(at, state)| run.arrive(at, state));
        let mut left = RUN_MAX.min(self.ground.left.get());
        let all = left;
        while let Some(key) = run.pending.pop_first() {
            let Some(state) = run.states.get(&key).cloned() else { continue };
            run.straight(key.0, state, &mut left);
            if left == 0 {
                run.seen.stopped = Some(Stop::Budget);
                break;
            }
        }
        self.ground.left.set(self.ground.left.get() - (all - left));
        run.seen
    }

    /// Returns `true` if it lies in the future that is asked about.
    fn is_in_future(&self, base: Base, offset: i64) -> bool {
        let (mut base, mut offset) = (base, offset);
        while let Base::Loaded(number) = base {
            let place = self.ground.places.get(number);
            (base, offset) = (place.base, place.offset);
        }
        base == Base::Future && offset >= self.from
    }
}

impl FlowRun<'_, '_, '_, '_, '_> {
    fn places(&self) -> &Places {
        &self.flow.ground.places
    }

    /// Returns the numbers stored last to the bytes that are asked for; 0 stands for one that is not known.
    fn held(&self, state: &MachineState) -> Vec<Option<u8>> {
        let of = |place: &Place| match state.load(
            self.places(),
            &Assumed::default(),
            CodeValue::Address(place.base, place.offset),
            1,
        ) {
            CodeValue::Constant(number) => Some(number as u8),
            CodeValue::Address(Base::Loaded(_), 0) => None,
            _ => Some(0),
        };
        self.flow.held.iter().map(of).collect()
    }

    fn arrive(&mut self, at: usize, state: MachineState) {
        let key = (at, self.held(&state), state.quiet);
        match self.states.get_mut(&key) {
            None => {
                self.states.insert(key.clone(), state);
            }
            Some(known) => match known.join(&self.flow.ground.places, &state) {
                None => return,
                Some(joined) => *known = joined,
            },
        }
        if self.states.len() > STATES_MAX {
            self.stop(Stop::Budget);
            self.pending.clear();
            return;
        }
        self.pending.insert(key);
    }

    /// Runs from there to where ways part or meet.
    fn straight(&mut self, mut at: usize, mut state: MachineState, left: &mut usize) {
        let body = self.flow.body;
        let start = at;
        loop {
            let Some(instruction) = body.instructions.get(at) else {
                self.stop(Stop::NoCode);
                return;
            };
            if at != start && body.is_jumped_to(instruction.ip()) {
                self.arrive(at, state);
                return;
            }
            *left = left.saturating_sub(1);
            if *left == 0 {
                return;
            }
            match instruction.flow_control() {
                FlowControl::Next => {
                    self.machine.step(&mut state, instruction, &mut self.info);
                    at += 1;
                    if let Some(states) = self.stored(instruction, &state) {
                        states.into_iter().for_each(|state| self.arrive(at, state));
                        return;
                    }
                }
                FlowControl::Call | FlowControl::IndirectCall => match self.call(instruction, &mut state, at + 1) {
                    CallEnd::Passed => at += 1,
                    CallEnd::Ends => return,
                },
                FlowControl::ConditionalBranch => {
                    self.branch(instruction, &state, at);
                    return;
                }
                FlowControl::UnconditionalBranch => match body.index_of(instruction.near_branch_target()) {
                    Some(to) => {
                        self.arrive(to, state);
                        return;
                    }
                    None => return self.leave(instruction, &mut state),
                },
                FlowControl::IndirectBranch => return self.jump(instruction, state, at),
                FlowControl::Return => return self.returned(&state),
                FlowControl::Exception | FlowControl::Interrupt => return,
                FlowControl::XbeginXabortXend => return self.stop(Stop::Jump),
            }
        }
    }

    fn stop(&mut self, why: Stop) {
        self.seen.stopped.get_or_insert(why);
    }

    fn returned(&mut self, state: &MachineState) {
        let held = self.held(state);
        self.seen.returns.insert((held, state.quiet));
    }

    /// Notes numbers that are stored. Where a byte that is asked for may hold several, these ways part.
    fn stored(&mut self, instruction: &Instruction, state: &MachineState) -> Option<Vec<MachineState>> {
        if instruction.op_count() == 0 || instruction.op0_kind() != OpKind::Memory {
            return None;
        }
        let (CodeValue::Address(base, offset), true) = self.machine.address(state, instruction) else { return None };
        if base == Base::Stack {
            return None;
        }
        for place in 0..i64::try_from(instruction.memory_size().size().min(8)).unwrap_or(0) {
            let at = CodeValue::Address(base, offset.wrapping_add(place));
            let numbers = state.load(self.places(), &Assumed::default(), at, 1).numbers();
            let known = self.seen.stores.entry((base, offset.wrapping_add(place))).or_default();
            known.extend(numbers.into_iter().flatten().map(|number| number as u8));
        }
        let held = self.flow.held.iter().find(|held| held.base == base && held.offset == offset)?;
        let at = CodeValue::Address(held.base, held.offset);
        let numbers = state.load(self.places(), &Assumed::default(), at, 1).numbers().filter(|all| all.len() > 1)?;
        let with = |number| {
            let mut state = state.clone();
            state.store(self.places(), (at, true), 1, CodeValue::Constant(number));
            state
        };
        Some(numbers.into_iter().map(with).collect())
    }

    fn branch(&mut self, instruction: &Instruction, state: &MachineState, at: usize) {
        let outcome = self.machine.decide(state, instruction.condition_code());
        let taken = matches!(outcome, DecidedBy::Known(true) | DecidedBy::Place(..) | DecidedBy::Unknown(_));
        let passed = matches!(outcome, DecidedBy::Known(false) | DecidedBy::Place(..) | DecidedBy::Unknown(_));
        self.note(outcome);
        if taken {
            match self.flow.body.index_of(instruction.near_branch_target()) {
                Some(to) => self.arrive(to, state.clone()),
                None => self.leave(instruction, &mut state.clone()),
            }
        }
        if passed {
            self.arrive(at + 1, state.clone());
        }
    }

    fn note(&mut self, outcome: DecidedBy) {
        match outcome {
            DecidedBy::Known(_) => {}
            DecidedBy::Unknown(taint) => self.seen.decides_otherwise |= taint.has(Taint::FUTURE),
            DecidedBy::Place(place, numbers) => self.decision(place, numbers),
        }
    }

    fn decision(&mut self, place: Place, numbers: Vec<u64>) {
        if !self.flow.is_in_future(place.base, place.offset) {
            return;
        }
        match self.seen.decisions.iter_mut().find(|(known, _)| *known == place) {
            Some((_, known)) => known.extend(numbers),
            None => self.seen.decisions.push((place, numbers.into_iter().collect())),
        }
    }

    fn jump(&mut self, instruction: &Instruction, mut state: MachineState, at: usize) {
        let target = self.machine.operand(&state, instruction, 0);
        if let CodeValue::Constant(to) = target {
            match self.flow.body.index_of(to) {
                Some(to) => self.arrive(to, state),
                None => self.tail(Some(ElfAddr(to)), instruction, &mut state),
            }
            return;
        }
        let cases = table::cases(self.flow.ground.code.elf, self.flow.body, at);
        if cases.is_empty() {
            if table::goes_through(instruction) && instruction.op0_kind() == OpKind::Memory {
                return self.stop(Stop::Jump);
            }
            return self.leave(instruction, &mut state);
        }
        match target {
            CodeValue::Case(number) => {
                let place = self.places().get(number);
                let numbers = if cases.len() <= 16 { (0..cases.len() as u64).collect() } else { Vec::new() };
                self.decision(place, numbers);
            }
            other => self.seen.decides_otherwise |= self.places().taint(other).has(Taint::FUTURE),
        }
        let distinct: BTreeSet<usize> = cases.into_iter().collect();
        distinct.into_iter().for_each(|to| self.arrive(to, state.clone()));
    }

    /// A jump out of the function: a call, and a return.
    fn leave(&mut self, instruction: &Instruction, state: &mut MachineState) {
        let to = match self.flow.ground.code.target(instruction) {
            Target::Known(to) => Some(to),
            Target::Unknown => None,
        };
        self.tail(to, instruction, state);
    }

    fn tail(&mut self, to: Option<ElfAddr>, instruction: &Instruction, state: &mut MachineState) {
        if matches!(self.called(to, instruction, state, usize::MAX), CallEnd::Passed) {
            self.returned(state);
        }
    }
}
