//! From types to layouts.

use std::collections::{BTreeSet, HashMap};

use super::{
    Layouts,
    dies::{DieOffset, Dies, Kind, Member, SourceLocation, Type},
    find::{Finder, Part},
    names, prune,
    rules::{self, LeafRule, ListRule},
    runtime,
    scan::Index,
};
use crate::tokio::vtables::Vtable;
use asyncscope_trace::{
    chain::{Discriminant, Edge, Layout, Leaf, Program, Step, Unless, Variant, Waits},
    facts::{AwaitFrame, AwaitKind},
};

/// More layouts than this are not compiled: a service has some thousands.
const LAYOUTS_MAX: usize = 1 << 17;
/// A variant has no more edges than this.
const EDGES_MAX: usize = 256;

pub(super) struct Compiler<'a, 'd> {
    pub(super) find: Finder<'a, 'd>,
    layouts: Vec<Layout>,
    known: HashMap<DieOffset, u32>,
    todo: Vec<(u32, DieOffset)>,
    frames: Vec<AwaitFrame>,
    frame_numbers: HashMap<AwaitFrame, u32>,
    /// The layout of a boxed future whose vtable is not known.
    unknown: u32,
}

impl<'a, 'd> Compiler<'a, 'd> {
    pub(super) fn new(dies: &'d Dies<'a>, index: &'d Index<'a>) -> Self {
        let mut compiler = Self {
            find: Finder { dies, index },
            layouts: Vec::new(),
            known: HashMap::new(),
            todo: Vec::new(),
            frames: Vec::new(),
            frame_numbers: HashMap::new(),
            unknown: 0,
        };
        let frame = compiler.frame(AwaitFrame { name: "boxed future".to_owned(), ..AwaitFrame::default() });
        compiler.unknown = compiler.add(Layout::of(Variant { frame: Some(frame), ..Variant::default() }));
        compiler
    }

    pub(super) fn compile(mut self, vtables: &[Vtable]) -> Layouts {
        let cells: Vec<(u64, DieOffset)> =
            vtables.iter().filter_map(|vtable| Some((vtable.address.0, self.cell(vtable.poll.0)?))).collect();
        let mut tasks: Vec<_> = cells.iter().filter_map(|&(vtable, cell)| Some((vtable, self.layout(cell)?))).collect();
        let dies = self.find.dies;
        let futures: BTreeSet<(u64, DieOffset)> = self
            .find
            .index
            .vtables
            .iter()
            .filter_map(|&(address, at)| Some((address, dies.get(at)?.containing?)))
            .collect();
        let mut boxed: Vec<_> =
            futures.into_iter().filter_map(|(vtable, at)| Some((vtable, self.layout(at)?))).collect();
        while let Some((number, at)) = self.todo.pop() {
            let layout = self.define(at).unwrap_or_default();
            if let Some(place) = self.layouts.get_mut(number as usize) {
                *place = layout;
            }
        }
        tasks.sort_unstable();
        // One address for two types: which of them it is cannot be told.
        boxed.sort_unstable();
        boxed.dedup();
        let twice: BTreeSet<u64> =
            boxed.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0).collect();
        boxed.retain(|(address, _)| !twice.contains(address));
        let owned = runtime::owned(&self.find, cells.first().map(|&(_, cell)| cell));
        let program = Program { frames: self.frames, layouts: self.layouts, boxed, tasks, ..Program::default() };
        Layouts { program: prune::pruned(program), owned }
    }

    /// The type of the whole task that this poll function polls, if it is for one type only.
    fn cell(&self, poll: u64) -> Option<DieOffset> {
        let tasks = self.find.index.tasks.get(&poll)?;
        let first = tasks.first()?;
        if tasks.iter().any(|task| task.name != first.name) {
            return None;
        }
        let arguments = first.name.strip_prefix("poll<")?;
        let name = format!("Cell<{arguments}");
        let cell = self.find.index.by_path(&["tokio", "runtime", "task", "core"], &name)?;
        let future = *self.find.get(cell)?.1.parameters.first()?;
        // By name found elsewhere, it must be of the very same future.
        let (one, other) = (self.find.get(future)?, self.find.get(first.future?)?);
        let same = one.1.size == other.1.size
            && self.find.index.path(one.0, one.1.name) == self.find.index.path(other.0, other.1.name);
        same.then_some(cell)
    }

    /// The number of a type's layout.
    fn layout(&mut self, at: DieOffset) -> Option<u32> {
        let (at, _) = self.find.get(at)?;
        if let Some(&number) = self.known.get(&at) {
            return Some(number);
        }
        if self.layouts.len() >= LAYOUTS_MAX {
            return None;
        }
        let number = self.add(Layout::default());
        self.known.insert(at, number);
        self.todo.push((number, at));
        Some(number)
    }

    fn add(&mut self, layout: Layout) -> u32 {
        self.layouts.push(layout);
        u32::try_from(self.layouts.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn frame(&mut self, frame: AwaitFrame) -> u32 {
        let frames = &mut self.frames;
        *self.frame_numbers.entry(frame).or_insert_with_key(|frame| {
            frames.push(frame.clone());
            u32::try_from(frames.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn define(&mut self, at: DieOffset) -> Option<Layout> {
        let (at, ty) = self.find.get(at)?;
        if ty.kind == Kind::Pointer {
            return self.behind_pointer(&ty);
        }
        if ty.kind != Kind::Struct {
            return None;
        }
        if names::is_body(ty.name) {
            return self.body(at, &ty);
        }
        let base = self.find.base(at, &ty);
        if let Some(rule) = rules::leaf_rule(&base) {
            return Some(self.leaf(at, rule));
        }
        if let Some(rule) = rules::list_rule(&base) {
            return self.list(at, rule);
        }
        if let Some(layout) = self.several(&ty) {
            return Some(layout);
        }
        self.by_hand(at, &ty, &base)
    }

    /// A reference to a future, or a box with one.
    fn behind_pointer(&mut self, ty: &Type<'_>) -> Option<Layout> {
        let target = ty.target?;
        let owned = ty.name.starts_with("alloc::boxed::Box<");
        let polled = ty.name.starts_with("&mut ") && self.is_future(target);
        if !(owned || polled) {
            return None;
        }
        let edge = Edge { offset: 0, step: Step::Pointer { add: 0 }, to: self.layout(target)?, unless: None };
        Some(Layout::of(Variant { edges: vec![edge], ..Variant::default() }))
    }

    /// Returns `true` if a reference to such a type is kept in order to poll it. Other things have futures inside
    /// that may rest meanwhile.
    fn is_future(&self, at: DieOffset) -> bool {
        let Some((_, ty)) = self.find.get(at) else { return false };
        match (ty.kind, ty.target) {
            (Kind::Pointer, Some(target)) => self.is_future_type(target),
            _ => self.is_future_type(at),
        }
    }

    fn is_future_type(&self, at: DieOffset) -> bool {
        let Some((at, ty)) = self.find.get(at) else { return false };
        let base = self.find.base(at, &ty);
        names::is_body(ty.name)
            || rules::is_waited_for(&base)
            || rules::is_wrapper(&base)
            || self.find.index.polled.contains(&base)
            || self.is_list(&ty)
    }

    /// Returns `true` if the type is nothing but a wrapper of a list: `JoinSet`.
    fn is_list(&self, ty: &Type<'_>) -> bool {
        let [member] = ty.members.as_slice() else { return false };
        let inner = self.find.get(member.at);
        inner.is_some_and(|(at, ty)| rules::list_rule(&self.find.base(at, &ty)).is_some())
    }

    /// The body of an `async fn` or block.
    fn body(&mut self, at: DieOffset, ty: &Type<'a>) -> Option<Layout> {
        let choice = ty.choice.as_ref()?;
        let discriminant = self.discriminant(choice.discriminant.as_ref()?)?;
        let name = names::body(self.find.index, at, ty.name);
        let place = |wanted: &str| {
            let mut variants = choice.variants.iter();
            variants
                .find(|variant| variant.member.name == wanted)
                .map(|variant| self.find.dies.source(at, &variant.member))
        };
        // Rust numbers them: not polled yet, returned, panicked, and the awaits.
        let (start, end) = (place("0").unwrap_or_default(), place("1").unwrap_or_default());
        let mut variants = Vec::new();
        for variant in &choice.variants {
            let value = variant.value.filter(|_| !choice.broken)?;
            let state = self.find.get(variant.member.at)?;
            let source = self.find.dies.source(at, &variant.member);
            let kind = match state.1.name {
                "Unresumed" => AwaitKind::Unstarted,
                "Returned" | "Panicked" => AwaitKind::Done,
                _ => AwaitKind::Await,
            };
            let within = if kind == AwaitKind::Await { (&start, &end) } else { (&source, &source) };
            let made = self.state(&name, kind, &state.1, &source, within, variant.member.offset);
            variants.push(Variant { value: Some(value), ..made? });
        }
        Some(Layout { discriminant: Some(discriminant), variants })
    }

    fn state(
        &mut self,
        name: &str,
        kind: AwaitKind,
        state: &Type<'a>,
        source: &SourceLocation,
        (start, end): (&SourceLocation, &SourceLocation),
        base: u64,
    ) -> Option<Variant> {
        let by_macro =
            source.file.as_deref().filter(|file| start.file.as_deref() != Some(*file)).and_then(rules::macro_in);
        let (source, until) = if by_macro.is_some() { (start, end.line) } else { (source, None) };
        let named = |name: String, kind: AwaitKind| AwaitFrame {
            name,
            kind,
            file: source.file.clone(),
            line: source.line,
            until,
        };
        let frame = self.frame(named(name.to_owned(), kind));
        let mut variant = Variant { frame: Some(frame), ..Variant::default() };
        if kind != AwaitKind::Await {
            return Some(variant);
        }
        if let Some(awaitee) = state.members.iter().find(|member| member.name == "__awaitee") {
            let mut edge = self.inside(base, awaitee)?;
            if let Some(by_macro) = by_macro {
                let frame = self.frame(named(by_macro.to_owned(), AwaitKind::Future));
                let inner = Edge { offset: 0, ..edge };
                let wrapper = Variant { frame: Some(frame), edges: vec![inner], ..Variant::default() };
                edge.to = self.add(Layout::of(wrapper));
            }
            variant.edges.push(edge);
        }
        variant.holds = self.holds(name, state, base);
        Some(variant)
    }

    fn leaf(&mut self, at: DieOffset, rule: LeafRule) -> Layout {
        let whole = Part { offset: 0, at };
        let mut name = rule.name.to_owned();
        if rule.ty == "tokio::sync::mpsc::chan::Rx" && !self.is_bounded(at) {
            name = "mpsc::UnboundedReceiver".into();
        }
        let frame = self.frame(AwaitFrame { name, kind: AwaitKind::Leaf, ..AwaitFrame::default() });
        let word = |offset: u64| u32::try_from(offset).ok();
        let leaf = rule.tells.and_then(|(waits, members)| {
            let part = self.find.members(whole, members)?;
            Some(match waits {
                Waits::Until => {
                    let seconds = self.find.member(part, "tv_sec")?;
                    let nanoseconds = self.find.member(part, "tv_nsec")?;
                    Leaf { waits, word: word(seconds.offset)?, second: word(nanoseconds.offset)? }
                }
                _ => {
                    let (pointer, _) = self.find.pointer(part)?;
                    Leaf { waits: self.permits(rule, whole).unwrap_or(waits), word: word(pointer)?, second: 0 }
                }
            })
        });
        Layout::of(Variant { frame: Some(frame), leaf, ..Variant::default() })
    }

    fn is_bounded(&self, receiver: DieOffset) -> bool {
        self.find.get(receiver).is_some_and(|(_, ty)| ty.name.contains("bounded::Semaphore"))
    }

    /// Futures in a list, as many as there are now.
    fn list(&mut self, at: DieOffset, rule: ListRule) -> Option<Layout> {
        let whole = Part { offset: 0, at };
        let frame =
            self.frame(AwaitFrame { name: rule.name.to_owned(), kind: AwaitKind::Future, ..AwaitFrame::default() });
        let mut owner = whole;
        let mut way = None;
        if !rule.owner.is_empty() {
            let (pointer, target) = self.find.pointer(self.find.members(whole, rule.owner)?)?;
            (owner, way) = (Part { offset: 0, at: target }, Some(pointer));
        }
        let mut edges = Vec::new();
        for head in rule.heads {
            let (head, link) = self.find.pointer(self.find.member(owner, head)?)?;
            let link = Part { offset: 0, at: link };
            let item = self.find.member(link, rule.item)?;
            let (next, _) = self.find.pointer(self.find.members(link, rule.next)?)?;
            let step = Step::Links { item: u32::try_from(item.offset).ok()?, next: u32::try_from(next).ok()? };
            edges.push(Edge { offset: u32::try_from(head).ok()?, step, to: self.layout(item.at)?, unless: None });
        }
        if let Some(pointer) = way {
            let lists = self.add(Layout::of(Variant { edges, ..Variant::default() }));
            let offset = u32::try_from(pointer).ok()?;
            edges = vec![Edge { offset, step: Step::Pointer { add: 0 }, to: lists, unless: None }];
        }
        Some(Layout::of(Variant { frame: Some(frame), edges, ..Variant::default() }))
    }

    /// A box with a future that only its vtable tells, or with several in a row.
    fn several(&mut self, ty: &Type<'a>) -> Option<Layout> {
        let member = |name: &str| ty.members.iter().find(|member| member.name == name);
        let edge = if let (Some(pointer), Some(vtable)) = (member("pointer"), member("vtable")) {
            if !ty.name.contains("Future") {
                return None;
            }
            let step = Step::Boxed { vtable: u32::try_from(vtable.offset).ok()? };
            Edge { offset: u32::try_from(pointer.offset).ok()?, step, to: self.unknown, unless: None }
        } else {
            let (data, length) = (member("data_ptr")?, member("length")?);
            let element = self.find.dies.get(data.at)?.target?;
            let stride = u32::try_from(self.find.get(element)?.1.size).ok().filter(|&stride| stride > 0)?;
            let step = Step::Slice { count: u32::try_from(length.offset).ok()?, stride };
            Edge { offset: u32::try_from(data.offset).ok()?, step, to: self.layout(element)?, unless: None }
        };
        Some(Layout::of(Variant { edges: vec![edge], ..Variant::default() }))
    }

    /// A future written by hand, or a part of one: all futures in its fields.
    fn by_hand(&mut self, at: DieOffset, ty: &Type<'a>, base: &str) -> Option<Layout> {
        let frame = (self.find.index.polled.contains(base) && !rules::is_wrapper(base)).then(|| {
            let name = names::short(&self.find.index.path(at, ty.name));
            self.frame(AwaitFrame { name, kind: AwaitKind::Future, ..AwaitFrame::default() })
        });
        let only = rules::only_member(base);
        let always = self.fields(ty, 0, only);
        let Some(choice) = &ty.choice else {
            return Some(Layout::of(Variant { frame, edges: always, ..Variant::default() }));
        };
        let discriminant = match &choice.discriminant {
            Some(discriminant) => Some(self.discriminant(discriminant)?),
            None => None,
        };
        let mut variants = Vec::new();
        for variant in &choice.variants {
            let state = self.find.get(variant.member.at).filter(|_| !choice.broken)?.1;
            let mut edges = always.clone();
            edges.extend(self.fields(&state, variant.member.offset, None));
            variants.push(Variant { value: variant.value, frame, edges, ..Variant::default() });
        }
        // What fits no other comes last.
        variants.sort_by_key(|variant| variant.value.is_none());
        Some(Layout { discriminant, variants })
    }

    fn fields(&mut self, ty: &Type<'a>, base: u64, only: Option<&str>) -> Vec<Edge> {
        if let Some(edges) = self.selected(ty) {
            return edges;
        }
        let wanted = ty.members.iter().filter(|member| only.is_none_or(|only| member.name == only));
        wanted.filter_map(|member| self.inside(base, member)).take(EDGES_MAX).collect()
    }

    /// The branches of `select!`: the closure refers to a tuple of futures, and to the bits of those that are off.
    fn selected(&mut self, ty: &Type<'a>) -> Option<Vec<Edge>> {
        let member = |name: &str| {
            ty.members.iter().find(|member| member.name.strip_prefix("_ref__").unwrap_or(member.name) == name)
        };
        let (disabled, futures) = (member("disabled")?, member("futures")?);
        let number = self.find.dies.get(self.find.dies.get(disabled.at)?.target?)?;
        let (_, branches) = self.find.get(self.find.dies.get(futures.at)?.target?)?;
        if number.kind != Kind::Base || !branches.name.starts_with('(') {
            return None;
        }
        let mut edges = Vec::new();
        for branch in &branches.members {
            let bit = branch.name.strip_prefix("__").and_then(|number| number.parse::<u8>().ok())?;
            let unless = (u64::from(bit) < number.size.saturating_mul(8))
                .then_some(Unless { pointer: u32::try_from(disabled.offset).ok()?, bit });
            let step = Step::Pointer { add: u32::try_from(branch.offset).ok()? };
            edges.push(Edge { offset: u32::try_from(futures.offset).ok()?, step, to: self.layout(branch.at)?, unless });
        }
        edges.sort_by_key(|edge| edge.unless.map(|unless| unless.bit));
        Some(edges)
    }

    fn inside(&mut self, base: u64, member: &Member<'_>) -> Option<Edge> {
        let offset = u32::try_from(base.checked_add(member.offset)?).ok()?;
        Some(Edge { offset, step: Step::Inside, to: self.layout(member.at)?, unless: None })
    }

    fn discriminant(&self, member: &Member<'_>) -> Option<Discriminant> {
        let size =
            u8::try_from(self.find.dies.get(member.at)?.size).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
        Some(Discriminant { offset: u32::try_from(member.offset).ok()?, size })
    }
}
