//! Calls: of what is polled, of panics, and of everything else.

use std::collections::BTreeMap;

use iced_x86::Instruction;

use super::{CallEnd, EVENTS_MAX, FlowRun, PollCall, Stop};
use crate::{
    addr::ElfAddr,
    code::x86_64::{ARGUMENTS, code::Target, message_of},
    image::panic_location::{self, ResumedMessage},
    layout_from_code::{
        memory::{Assumed, MachineState},
        takes::TakenArguments,
        value::{Base, CodeValue, Taint},
    },
};

/// A closure that holds the `Context` is no longer, in bytes.
const CLOSURE_LEN: i64 = 32;
/// In a vtable of `dyn Future`, behind destructor, size and alignment.
/// <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_middle/src/ty/vtable.rs>
const POLL_SLOT: i64 = 0x18;
/// All argument registers, as bits; and the first three, which is all that a function of a vtable gets.
const ALL: u8 = 0x3f;
const FIRST: u8 = 7;

impl FlowRun<'_, '_, '_, '_, '_> {
    pub(super) fn call(&mut self, instruction: &Instruction, state: &mut MachineState, next: usize) -> CallEnd {
        let to = match self.flow.ground.code.target(instruction) {
            Target::Known(to) => Some(to),
            Target::Unknown => match self.machine.operand(state, instruction, 0) {
                CodeValue::Constant(to) => Some(ElfAddr(to)),
                _ => None,
            },
        };
        self.called(to, instruction, state, next)
    }

    pub(super) fn called(
        &mut self,
        to: Option<ElfAddr>,
        instruction: &Instruction,
        state: &mut MachineState,
        next: usize,
    ) -> CallEnd {
        let code = self.flow.ground.code;
        if let Some(function) = to.filter(|&function| code.never_returns(function)) {
            self.seen.panics.extend(self.panic(function, state));
            return CallEnd::Ends;
        }
        let of_function = to.map(|function| self.flow.ground.takes.of(code, function));
        let is_elsewhere = to.is_none() && instruction.is_ip_rel_memory_operand();
        let taken = of_function.map_or(if is_elsewhere { ALL } else { FIRST }, TakenArguments::all);
        let surely = of_function.map_or(ALL, |taken| taken.reads);
        let arguments: Vec<(usize, CodeValue)> = (0..)
            .zip(ARGUMENTS)
            .filter(|&(place, _)| taken & 1 << place != 0)
            .map(|(place, register)| (place, self.machine.register(state, register)))
            .collect();
        match self.event((to, surely), instruction, state, &arguments) {
            Some(Ok(event)) => {
                self.polls(event, state, next);
                if !self.flow.through {
                    return CallEnd::Ends;
                }
            }
            Some(Err(why)) => {
                self.stop(why);
                return CallEnd::Ends;
            }
            None => self.helps(to, state, &arguments),
        }
        let values: Vec<CodeValue> = arguments.iter().map(|&(_, value)| value).collect();
        state.after_call(self.places(), &values, self.flow.held);
        CallEnd::Passed
    }

    fn polls(&mut self, event: PollCall, state: &MachineState, next: usize) {
        if state.quiet {
            self.seen.quiet.insert(event.clone());
        }
        let mut after = state.clone();
        let values: Vec<CodeValue> = event.arguments.iter().map(|&(_, value)| value).collect();
        let of_future: Vec<CodeValue> =
            values.into_iter().filter(|&value| !self.places().taint(value).has(Taint::CONTEXT)).collect();
        after.after_call(self.places(), &of_future, self.flow.held);
        let at = self.seen.events.iter().position(|(known, _)| *known == event);
        let mut found = match at {
            Some(at) => self.seen.events.remove(at),
            None => (event, BTreeMap::new()),
        };
        match found.1.get_mut(&next) {
            Some(known) => {
                if let Some(joined) = known.join(&self.flow.ground.places, &after) {
                    *known = joined;
                }
            }
            None => {
                found.1.insert(next, after);
            }
        }
        self.seen.events.push(found);
        if self.seen.events.len() > EVENTS_MAX {
            self.stop(Stop::Budget);
        }
    }

    fn helps(&mut self, to: Option<ElfAddr>, state: &MachineState, arguments: &[(usize, CodeValue)]) {
        let Some(to) = to else { return };
        let gets = |value: CodeValue| match value {
            CodeValue::Address(Base::Future, _) => true,
            CodeValue::Address(Base::Stack, at) => {
                state.on_stack(at, 2 * CLOSURE_LEN).any(|held| matches!(held, CodeValue::Address(Base::Future, _)))
            }
            _ => false,
        };
        if arguments.iter().any(|&(_, value)| gets(value)) && self.seen.helpers.len() < EVENTS_MAX {
            self.seen.helpers.push((to, state.called()));
        }
    }

    fn panic(&self, function: ElfAddr, state: &MachineState) -> Option<(ResumedMessage, ElfAddr)> {
        let constant = |place: usize| match self.machine.register(state, ARGUMENTS[place]) {
            CodeValue::Constant(at) => Some(ElfAddr(at)),
            _ => None,
        };
        let code = self.flow.ground.code;
        let own = constant(0).and_then(|location| Some((message_of(code, function)?, location)));
        own.or_else(|| Some((panic_location::message_at(code.elf, constant(0)?)?, constant(2)?)))
    }

    /// Returns the poll that a call is, if it is one; or the reason why that is not known.
    fn event(
        &self,
        (to, surely): (Option<ElfAddr>, u8),
        instruction: &Instruction,
        state: &MachineState,
        arguments: &[(usize, CodeValue)],
    ) -> Option<Result<PollCall, Stop>> {
        // Whatever else the registers hold, other libraries poll nothing.
        if to.is_none() && instruction.is_ip_rel_memory_operand() {
            return None;
        }
        let places = self.places();
        let mut kept = Vec::new();
        let (mut gets_context, mut gets_future, mut lost) = (false, false, false);
        for &(place, value) in arguments {
            match value {
                CodeValue::Address(base, offset) if places.root(base) == Base::Future => {
                    let is_inside = self.flow.is_in_future(base, offset);
                    gets_future |= is_inside;
                    if is_inside {
                        kept.push((place, value));
                    }
                }
                CodeValue::Address(base, _) if places.root(base) == Base::Context => {
                    gets_context = true;
                    kept.push((place, CodeValue::Address(Base::Context, 0)));
                }
                CodeValue::Address(Base::Stack, at) => match self.context_at(state, at) {
                    Some(true) => {
                        gets_context = true;
                        kept.push((place, CodeValue::Address(Base::Context, 0)));
                    }
                    Some(false) => lost = true,
                    None => {}
                },
                _ => lost |= places.taint(value).has(Taint::CONTEXT),
            }
        }
        // What is polled stands before the `Context`; registers behind it may be left over.
        let context =
            kept.iter().find(|(_, value)| *value == CodeValue::Address(Base::Context, 0)).map(|&(place, _)| place);
        let unclear = |&(place, value): &(usize, CodeValue)| {
            let is_unclear = matches!(value, CodeValue::Unknown(taint) if taint.has(Taint::FUTURE));
            is_unclear && context.is_none_or(|context| place < context)
        };
        match to {
            _ if !gets_context && !lost => None,
            Some(function) if gets_context && !lost => {
                if gets_future {
                    // What it may only hand on may as well be left over.
                    if context.is_none_or(|place| surely & 1 << place == 0) {
                        return Some(Err(Stop::Call));
                    }
                    return Some(Ok(PollCall { function: Some(function), table: None, arguments: kept }));
                }
                // Without the future it polls nothing of it.
                arguments.iter().any(unclear).then_some(Err(Stop::Call))
            }
            None => self.dynamic(instruction, state, kept, lost),
            Some(_) => Some(Err(Stop::Call)),
        }
    }

    fn dynamic(
        &self,
        instruction: &Instruction,
        state: &MachineState,
        kept: Vec<(usize, CodeValue)>,
        lost: bool,
    ) -> Option<Result<PollCall, Stop>> {
        let places = self.places();
        let target = self.machine.operand(state, instruction, 0);
        let CodeValue::Address(Base::Loaded(number), 0) = target else {
            return Some(Err(Stop::Call));
        };
        let slot = places.get(number);
        match places.root(slot.base) {
            // The waker's own functions.
            Base::Context => None,
            Base::Future => {
                let Base::Loaded(table) = slot.base else { return Some(Err(Stop::Call)) };
                if slot.offset != POLL_SLOT {
                    // Any other function of some trait: a sink's, a service's; or a destructor, which gets no context.
                    let is_drop = slot.offset == 0;
                    return if is_drop { None } else { Some(Err(Stop::Call)) };
                }
                if lost {
                    return Some(Err(Stop::Call));
                }
                // The two words of a wide pointer stand beside each other.
                let table = places.get(table);
                let data = kept.first().map(|&(_, value)| value);
                let is_beside = matches!(data, Some(CodeValue::Address(Base::Loaded(data), 0))
                    if places.get(data).base == table.base && places.get(data).offset.wrapping_add(8) == table.offset);
                if !is_beside {
                    return Some(Err(Stop::Call));
                }
                Some(Ok(PollCall { function: None, table: Some(table), arguments: kept }))
            }
            _ => Some(Err(Stop::Call)),
        }
    }

    /// Returns `Some(true)` if a `Context` or a `Waker` lies there on the stack, `Some(false)` if something that holds one.
    fn context_at(&self, state: &MachineState, at: i64) -> Option<bool> {
        if self.flow.contexts.borrow().contains(&at) {
            return Some(true);
        }
        let places = self.places();
        let word = |at: i64| state.load(places, &Assumed::default(), CodeValue::Address(Base::Stack, at), 8);
        let is_context =
            |value: CodeValue| matches!(value, CodeValue::Address(base, _) if places.root(base) == Base::Context);
        let is_task = self.flow.from > i64::MIN;
        let is_waker = |at: i64| {
            let two = [word(at), word(at.wrapping_add(8))];
            is_task
                && two.contains(&CodeValue::Address(Base::Future, 0))
                && two.iter().any(|one| matches!(one, CodeValue::Constant(_)))
        };
        let is_made = is_context(word(at))
            || is_waker(at)
            || matches!(word(at), CodeValue::Address(Base::Stack, waker) if is_waker(waker));
        if is_made {
            self.flow.contexts.borrow_mut().insert(at);
            return Some(true);
        }
        state.on_stack(at, CLOSURE_LEN).any(|value| places.taint(value).has(Taint::CONTEXT)).then_some(false)
    }
}
