//! Holds: what a future keeps that others wait for, and how much of it.

use super::{
    compile::Compiler,
    dies::{DieOffset, Kind, Type},
    find::Part,
    names,
    rules::{self, ACQUIRE, HoldRule, Keeps, LeafRule, MISSING, SEMAPHORE, WANTED},
};
use asyncscope_trace::{
    chain::{Hold, Number, Share, Waits},
    facts::{AwaitFrame, AwaitKind},
};

impl<'a> Compiler<'a, '_> {
    /// The things that the body of this name keeps in a state that starts at `base`.
    pub(super) fn holds(&mut self, name: &str, state: &Type<'a>, base: u64) -> Vec<Hold> {
        let mut holds: Vec<Hold> = Vec::new();
        for member in state.members.iter().filter(|member| member.name != "__awaitee") {
            let part = Part { offset: base.saturating_add(member.offset), at: member.at };
            // A local that lives in two scopes is listed twice.
            let hold = self.hold(part, |what| format!("{}: {what} in {name}", member.name));
            holds.extend(hold.filter(|hold| holds.iter().all(|known| known.pointer != hold.pointer)));
        }
        holds
    }

    fn hold(&mut self, value: Part, called: impl FnOnce(&str) -> String) -> Option<Hold> {
        let (at, ty) = self.find.get(value.at)?;
        let rule = rules::hold_rule(&self.find.base(at, &ty))?;
        let value = Part { at, ..value };
        let (pointer, thing) = self.find.pointer(self.find.member(value, rule.thing)?)?;
        let (add, thing) = self.waited_at(rule, thing)?;
        let len = u32::try_from(self.find.get(thing)?.1.size).ok()?;
        let share = self.share(rule, value);
        let name = called(&names::short(&self.find.index.path(at, ty.name)));
        let frame = self.frame(AwaitFrame { name, kind: AwaitKind::Leaf, ..AwaitFrame::default() });
        Some(Hold { frame, pointer: u32::try_from(pointer).ok()?, add, len, share })
    }

    /// The part of a thing at which others wait: a channel is one as a whole, all else has a semaphore.
    fn waited_at(&self, rule: HoldRule, thing: DieOffset) -> Option<(u32, DieOffset)> {
        let whole = Part { offset: 0, at: thing };
        if rule.keeps == Keeps::Channel {
            return Some((0, thing));
        }
        // That of the lock, not one in what it protects, which lies deeper.
        let semaphore = self.find.first(whole, |part, ty, _| self.find.base(part.at, ty) == SEMAPHORE)?;
        Some((u32::try_from(semaphore.offset).ok()?, semaphore.at))
    }

    fn share(&self, rule: HoldRule, value: Part) -> Share {
        match rule.keeps {
            Keeps::All | Keeps::Channel => Share::All,
            Keeps::Reader => Share::Reader,
            Keeps::Writer(member) => self.number(value, &[member]).map_or(Share::All, Share::Writer),
            Keeps::Permits(member) => Share::Permits(self.number(value, &[member])),
        }
    }

    /// The permits that a leaf of this kind waits for, if it waits for permits and says how many.
    pub(super) fn permits(&self, rule: LeafRule, leaf: Part) -> Option<Waits> {
        (rule.ty == ACQUIRE).then_some(())?;
        Some(Waits::Permits { wanted: self.number(leaf, WANTED)?, missing: self.number(leaf, MISSING)? })
    }

    fn number(&self, of: Part, members: &[&str]) -> Option<Number> {
        let member = self.find.members(of, members)?;
        // An atomic is wrapped around its number.
        let number = self.find.first(member, |_, ty, _| ty.kind == Kind::Base)?;
        let size = u8::try_from(self.find.get(number.at)?.1.size).ok().filter(|size| matches!(size, 4 | 8))?;
        Some(Number { offset: u32::try_from(number.offset).ok()?, size })
    }
}
