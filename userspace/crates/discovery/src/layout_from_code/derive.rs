//! From what a poll function does first to the states of its async bodies, and what each of them waits for.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use iced_x86::Register;

use super::{
    flow::{FirstSeen, Ground, PollCall, PollFlow, Stop},
    memory::{Assumed, Fact, MachineState},
    value::{CodeValue, Place},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{ARGUMENTS, code::Body},
    image::panic_location::ResumedMessage,
};

/// Decisions inside each other.
const NESTED_MAX: usize = 10;
/// Decisions inside each other that nothing proves to be an async body's.
const SPLIT_MAX: usize = 3;
/// Numbers by which one such place decides.
const CASES_MAX: usize = 12;
/// In one function no more of these are looked at.
const NODES_MAX: usize = 600;
/// The states of a body before it waits for the first time: unresumed, returned, panicked.
/// <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_middle/src/ty/sty.rs#L148-L153>
pub(super) const FIRST_WAITING: u8 = 3;

/// The things that a poll function waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WaitNode {
    /// An async body, by its state.
    Body {
        /// The place of the state.
        place: Place,
        /// The address of the `Location` that its panics state.
        location: ElfAddr,
        /// Something before it that looks like another body's state is not proved to be one.
        gap: bool,
        /// The things that it waits for, in each state that is known.
        states: Vec<(u8, WaitNode)>,
    },
    /// Something else of the future decides.
    Split {
        /// The place of that.
        place: Place,
        /// The things that are waited for, by the number that it holds; `None`: any other.
        cases: Vec<(Option<u64>, WaitNode)>,
    },
    /// These, or nothing that is a future.
    Waits {
        /// The polls.
        events: Vec<PollCall>,
        /// Something before it that looks like a body's state is not proved to be one.
        gap: bool,
    },
    /// Not known.
    Unknown(NotKnown),
    /// It never gets there, or never returns.
    Dead,
}

/// The reasons why it is not known what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum NotKnown {
    /// It could not be followed.
    Stopped(Stop),
    /// Several things are polled, and what decides is not known.
    Several,
    /// The first poll is not that of what the body waits for in this state.
    NotKept,
    /// Too many decisions.
    TooDeep,
}

/// One poll function.
pub(super) struct ExploredPoll<'f, 'g, 'e, 'data> {
    pub(super) ground: &'f Ground<'g, 'e, 'data>,
    pub(super) body: &'f Body,
    pub(super) entry: MachineState,
    /// Only from this place on it is the future.
    pub(super) from: i64,
    pub(super) contexts: RefCell<BTreeSet<i64>>,
    pub(super) nodes: usize,
}

/// The things that are taken for granted at a node.
#[derive(Clone, Default)]
struct Under {
    assumed: Assumed,
    /// The states of the bodies that it stands in.
    held: Vec<(Place, u8)>,
    splits: usize,
}

impl Under {
    fn with(&self, place: Place, fact: Fact) -> Self {
        Self { assumed: self.assumed.with(place, fact), ..self.clone() }
    }

    fn is_decided(&self, place: Place) -> bool {
        self.assumed.get(place).is_some()
    }
}

/// The state of a function that gets these arguments.
pub(super) fn entry(arguments: &[(usize, CodeValue)]) -> MachineState {
    let registers: Vec<(Register, CodeValue)> =
        arguments.iter().map(|&(place, value)| (ARGUMENTS[place], value)).collect();
    MachineState::at_entry(&registers)
}

impl ExploredPoll<'_, '_, '_, '_> {
    /// Returns the things that it waits for.
    pub(super) fn node(&mut self) -> WaitNode {
        self.under(&Under::default())
    }

    /// The functions that get the future without a `Context`, from its entry on.
    pub(super) fn helpers(&self) -> Vec<(ElfAddr, MachineState)> {
        self.first(&Assumed::default()).helpers
    }

    fn flow<'a>(&'a self, assumed: &'a Assumed, held: &'a [Place], through: bool) -> PollFlow<'a, 'a, 'a, 'a> {
        PollFlow {
            ground: self.ground,
            body: self.body,
            assumed,
            held,
            from: self.from,
            through,
            contexts: &self.contexts,
        }
    }

    fn first(&self, assumed: &Assumed) -> FirstSeen {
        self.flow(assumed, &[], false).run([(0, self.entry.clone())])
    }

    fn under(&mut self, under: &Under) -> WaitNode {
        self.nodes += 1;
        if self.nodes > NODES_MAX || under.assumed.len() > NESTED_MAX {
            return WaitNode::Unknown(NotKnown::TooDeep);
        }
        let seen = self.first(&under.assumed);
        let open: Vec<&(Place, BTreeSet<u64>)> = seen
            .decisions
            .iter()
            .filter(|(place, _)| !matches!(under.assumed.get(*place), Some(Fact::Is(_))))
            .collect();
        for (place, _) in &open {
            if place.size == 1
                && !under.is_decided(*place)
                && let Some(location) = self.proof(&under.assumed, *place)
            {
                return self.states(under, &seen, *place, location);
            }
        }
        if seen.events.is_empty() && seen.returns.is_empty() && seen.stopped.is_none() {
            return WaitNode::Dead;
        }
        let gap = self.has_gap(under, &open, None);
        match self.waits(under, &seen) {
            Ok(events) => WaitNode::Waits { events, gap },
            Err(why) => self.split(under, &open).unwrap_or(WaitNode::Unknown(why)),
        }
    }

    /// The `Location` of the async body whose state the byte is: in state 1 nothing happens but the panic that it has
    /// returned, or in state 2 but the one that it has panicked; and in state 0 neither.
    fn proof(&self, assumed: &Assumed, place: Place) -> Option<ElfAddr> {
        let only = |number: u64| {
            let seen = self.first(&assumed.with(place, Fact::Is(number)));
            let is_end = seen.events.is_empty() && seen.returns.is_empty() && seen.stopped.is_none();
            let panics: Vec<_> = seen.panics.into_iter().collect();
            match panics.as_slice() {
                [only] if is_end => Some(*only),
                _ => None,
            }
        };
        let returned = only(1).filter(|&(message, _)| message == ResumedMessage::AfterCompletion);
        let panicked = only(2).filter(|&(message, _)| message == ResumedMessage::AfterPanicking);
        let location = match (returned, panicked) {
            (Some((_, one)), Some((_, other))) => (one == other).then_some(one),
            (one, other) => one.or(other).map(|(_, location)| location),
        }?;
        only(0).is_none().then_some(location)
    }

    fn states(&mut self, under: &Under, seen: &FirstSeen, place: Place, location: ElfAddr) -> WaitNode {
        let open: Vec<_> = seen.decisions.iter().collect();
        let gap = self.has_gap(under, &open, Some(place));
        let mut states = Vec::new();
        for number in self.stored(under, place) {
            if number < FIRST_WAITING {
                continue;
            }
            let mut inside = under.with(place, Fact::Is(number.into()));
            inside.held.push((place, number));
            inside.splits = 0;
            match self.under(&inside) {
                WaitNode::Dead => {}
                node => states.push((number, node)),
            }
        }
        WaitNode::Body { place, location, gap, states }
    }

    /// The numbers that the function stores there.
    fn stored(&self, under: &Under, place: Place) -> BTreeSet<u8> {
        let seen = self.flow(&under.assumed, &[], true).run([(0, self.entry.clone())]);
        seen.stores.get(&(place.base, place.offset)).cloned().unwrap_or_default()
    }

    /// Returns `true` if a byte that decides, and is none of the proved ones, gets numbers like a waiting body's.
    fn has_gap(&self, under: &Under, open: &[&(Place, BTreeSet<u64>)], proved: Option<Place>) -> bool {
        let before = open.iter().take_while(|(place, _)| Some(*place) != proved);
        let suspects: Vec<Place> = before
            .map(|(place, _)| *place)
            .filter(|place| place.size == 1 && !under.held.iter().any(|(held, _)| held == place))
            .collect();
        if suspects.is_empty() {
            return false;
        }
        let seen = self.flow(&under.assumed, &[], true).run([(0, self.entry.clone())]);
        suspects.iter().any(|place| {
            let stored = seen.stores.get(&(place.base, place.offset));
            stored.is_some_and(|numbers| numbers.iter().any(|&number| number >= FIRST_WAITING))
        })
    }

    /// Returns the polls in these states, if it is sure that these wait for them.
    fn waits(&self, under: &Under, seen: &FirstSeen) -> Result<Vec<PollCall>, NotKnown> {
        if let Some(why) = seen.stopped {
            return Err(NotKnown::Stopped(why));
        }
        let firsts: Vec<&PollCall> = seen.events.iter().map(|(event, _)| event).collect();
        // What is polled after the future was changed is awaited next: a body goes on to it from an inlined wait.
        if !under.held.is_empty() && firsts.iter().any(|event| !seen.quiet.contains(*event)) {
            return Err(NotKnown::NotKept);
        }
        let decides = seen.decides_otherwise || seen.decisions.iter().any(|(place, _)| !under.is_decided(*place));
        if firsts.len() > 1 && decides {
            return Err(NotKnown::Several);
        }
        if firsts.is_empty() {
            let places = under.held.iter().map(|&(place, _)| place).collect::<Vec<_>>();
            let all = self.flow(&under.assumed, &places, false).run([(0, self.entry.clone())]);
            return if is_kept(&all, under) { Ok(Vec::new()) } else { Err(NotKnown::NotKept) };
        }
        let mut events: BTreeMap<PollCall, bool> = BTreeMap::new();
        let mut order = Vec::new();
        let mut pending: Vec<(PollCall, BTreeMap<usize, MachineState>)> = seen.events.clone();
        while let Some((event, sites)) = pending.pop() {
            if events.contains_key(&event) {
                continue;
            }
            let after = self.after(under, sites);
            if let Some(why) = after.stopped.filter(|_| firsts.contains(&&event)) {
                return Err(NotKnown::Stopped(why));
            }
            events.insert(event.clone(), is_kept(&after, under));
            order.push(event);
            let quiet = &after.quiet;
            pending.extend(after.events.iter().filter(|(event, _)| quiet.contains(event)).cloned());
        }
        if firsts.iter().any(|event| events.get(*event) != Some(&true)) {
            return Err(NotKnown::NotKept);
        }
        order.retain(|event| events.get(event) == Some(&true));
        Ok(order)
    }

    fn after(&self, under: &Under, sites: BTreeMap<usize, MachineState>) -> FirstSeen {
        let places = under.held.iter().map(|&(place, _)| place).collect::<Vec<_>>();
        let starts = sites.into_iter().map(|(at, mut state)| {
            state.quiet = true;
            (at, state)
        });
        let (tails, starts): (Vec<_>, Vec<_>) = starts.partition(|&(at, _)| at == usize::MAX);
        let mut seen = self.flow(&under.assumed, &places, false).run(starts);
        if !tails.is_empty() {
            seen.returns.insert((vec![None; places.len()], true));
        }
        seen
    }

    /// Returns the things that are waited for by each number that a place of the future can hold, whatever it stands for.
    fn split(&mut self, under: &Under, open: &[&(Place, BTreeSet<u64>)]) -> Option<WaitNode> {
        if under.splits >= SPLIT_MAX {
            return None;
        }
        let undecided = open
            .iter()
            .find(|(place, numbers)| !under.is_decided(*place) && !numbers.is_empty() && numbers.len() <= CASES_MAX);
        let (place, numbers) = (*undecided?).clone();
        let mut cases: Vec<(Option<u64>, WaitNode)> = Vec::new();
        for &number in &numbers {
            let mut inside = under.with(place, Fact::Is(number));
            inside.splits += 1;
            cases.push((Some(number), self.under(&inside)));
        }
        let mut inside = under.with(place, Fact::Not(numbers.into_iter().collect()));
        inside.splits += 1;
        cases.push((None, self.under(&inside)));
        Some(WaitNode::Split { place, cases })
    }
}

/// Returns `true` if the function can return with all enclosing bodies in the states that they were in: the innermost
/// stored again, the others stored again or left alone. Where there is no such body, with the future as it was.
fn is_kept(seen: &FirstSeen, under: &Under) -> bool {
    seen.returns.iter().any(|(left, quiet)| match under.held.split_last() {
        None => *quiet,
        Some((&(_, innermost), around)) => {
            let of_others = left.iter().zip(around).all(|(left, &(_, state))| left.is_none_or(|left| left == state));
            of_others && left.last() == Some(&Some(innermost))
        }
    })
}
