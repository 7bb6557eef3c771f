//! From what poll functions wait for to the program that walks futures.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use asyncscope_trace::{
    chain::{Discriminant, Edge, Layout, LayoutSource, Program, Step, Variant},
    facts::{AwaitFrame, AwaitKind, SourcePlace},
};

use super::{
    derive::{ExploredPoll, FIRST_WAITING, NotKnown, WaitNode, entry},
    flow::{Ground, PollCall},
    memory::MachineState,
    value::{Base, CodeValue, Place, Taint},
};
use crate::{addr::ElfAddr, code::x86_64::code::Code, image::panic_location, layout, names, tokio::vtables::Vtable};

/// Functions between `raw::poll` and the one that polls the future.
const ROOT_DEPTH_MAX: usize = 8;
/// Functions that are looked at for one task type's future.
const ROOT_TRIES_MAX: usize = 64;
/// More functions are not compiled.
const FUNCTIONS_MAX: usize = 20_000;
/// Instructions that are run for one file.
const INSTRUCTIONS_MAX: usize = 20_000_000;
/// Pointers to pointers that are followed for one link.
const POINTERS_MAX: usize = 6;
/// The largest alignment of a future, and the largest one that is boxed, in bytes.
const ALIGN_MAX: u64 = 4096;
const SIZE_MAX: u64 = 1 << 24;

/// A function with the arguments that lead into the future.
type Polled = (ElfAddr, Vec<(usize, CodeValue)>);

/// The layouts of one file, as far as they are compiled.
pub(super) struct CodeCompiler<'g, 'e, 'data> {
    ground: Ground<'g, 'e, 'data>,
    program: Program,
    frames: HashMap<AwaitFrame, u32>,
    functions: HashMap<Polled, u32>,
    pending: Vec<(Polled, u32)>,
    unknown_boxed: u32,
    boxes: bool,
}

impl<'g, 'e, 'data> CodeCompiler<'g, 'e, 'data> {
    pub(super) fn new(code: &'g Code<'e, 'data>) -> Self {
        let ground = Ground {
            code,
            places: super::value::Places::default(),
            takes: super::takes::Takes::default(),
            left: std::cell::Cell::new(INSTRUCTIONS_MAX),
        };
        let mut compiler = Self {
            ground,
            program: Program { source: LayoutSource::Code, ..Program::default() },
            frames: HashMap::new(),
            functions: HashMap::new(),
            pending: Vec::new(),
            unknown_boxed: 0,
            boxes: false,
        };
        compiler.unknown_boxed = compiler.framed("boxed future".to_owned(), AwaitKind::Unknown, Vec::new());
        compiler
    }

    /// Compiles the layouts of these task types, and of the futures behind pointers that they lead to.
    pub(super) fn compile(mut self, vtables: &[Vtable]) -> Program {
        for vtable in vtables {
            if let Some(layout) = self.task(vtable) {
                self.program.tasks.push((vtable.address.0, layout));
            }
            self.functions_pending();
        }
        if self.boxes {
            self.boxed();
        }
        self.program.tasks.sort_unstable();
        self.program.boxed.sort_unstable();
        self.program
    }

    fn functions_pending(&mut self) {
        while let Some((polled, number)) = self.pending.pop() {
            let layout = self.function(&polled);
            self.program.layouts[number as usize] = layout;
        }
    }

    /// The future of a task, from the task's header on.
    fn task(&mut self, vtable: &Vtable) -> Option<u32> {
        let stage = i64::from(vtable.id_offset) + 8;
        let header = MachineState::at_entry(&[(iced_x86::Register::RDI, CodeValue::Address(Base::Future, 0))]);
        let mut pending = std::collections::VecDeque::from([(vtable.poll, header, BTreeSet::new(), 0)]);
        let mut looked_at = BTreeSet::new();
        while let Some((function, entry, known, depth)) = pending.pop_front() {
            if !looked_at.insert(function) || looked_at.len() > ROOT_TRIES_MAX || depth > ROOT_DEPTH_MAX {
                continue;
            }
            let Some(body) = self.ground.code.body(function) else { continue };
            // A `Context` lies in the frame of whoever calls, and stays there.
            let (ground, contexts) = (&self.ground, RefCell::new(known));
            let mut of_task = ExploredPoll { ground, body: &body, entry, from: stage, contexts, nodes: 0 };
            let node = of_task.node();
            if polls(&node) {
                return self.root(&node);
            }
            let helpers = of_task.helpers();
            let known = of_task.contexts.into_inner();
            pending.extend(helpers.into_iter().map(|(function, entry)| (function, entry, known.clone(), depth + 1)));
        }
        None
    }

    fn root(&mut self, node: &WaitNode) -> Option<u32> {
        let edges = self.edges(node, Base::Future);
        if edges.is_empty() { None } else { Some(self.add(Layout::of(Variant { edges, ..Variant::default() }))) }
    }

    fn add(&mut self, layout: Layout) -> u32 {
        let number = u32::try_from(self.program.layouts.len()).unwrap_or(u32::MAX);
        self.program.layouts.push(layout);
        number
    }

    fn frame(&mut self, frame: AwaitFrame) -> u32 {
        let next = u32::try_from(self.program.frames.len()).unwrap_or(u32::MAX);
        let number = *self.frames.entry(frame.clone()).or_insert(next);
        if number == next {
            self.program.frames.push(frame);
        }
        number
    }

    fn framed(&mut self, name: String, kind: AwaitKind, edges: Vec<Edge>) -> u32 {
        let frame = Some(self.frame(AwaitFrame { name, kind, ..AwaitFrame::default() }));
        self.add(Layout::of(Variant { frame, edges, ..Variant::default() }))
    }

    /// The layout of what a function with these arguments polls, counted from where the future that it gets lies.
    fn function_layout(&mut self, polled: Polled) -> u32 {
        if let Some(&known) = self.functions.get(&polled) {
            return known;
        }
        if self.functions.len() >= FUNCTIONS_MAX {
            return self.framed(of_function(self.ground.code, polled.0), AwaitKind::Unknown, Vec::new());
        }
        let number = self.add(Layout::default());
        self.functions.insert(polled.clone(), number);
        self.pending.push((polled, number));
        number
    }

    fn node_of(&self, (function, arguments): &Polled) -> WaitNode {
        let Some(body) = self.ground.code.body(*function) else {
            return WaitNode::Unknown(NotKnown::Stopped(super::flow::Stop::NoCode));
        };
        let (ground, contexts) = (&self.ground, RefCell::default());
        let entry = entry(arguments);
        ExploredPoll { ground, body: &body, entry, from: i64::MIN, contexts, nodes: 0 }.node()
    }

    fn function(&mut self, polled: &Polled) -> Layout {
        let node = self.node_of(polled);
        let name = of_function(self.ground.code, polled.0);
        if let WaitNode::Body { place, gap: false, .. } = &node
            && place.base == Base::Future
        {
            let own = symbol(self.ground.code, polled.0).filter(|name| names::is_users_closure(name));
            return self.body(&node, place.base, own.as_deref()).unwrap_or_default();
        }
        let leaf = layout::leaf_named(&name);
        if let Some(leaf) = leaf {
            let frame = AwaitFrame { name: leaf.to_owned(), kind: AwaitKind::Leaf, ..AwaitFrame::default() };
            let frame = Some(self.frame(frame));
            return Layout::of(Variant { frame, ..Variant::default() });
        }
        let edges = if polls(&node) { self.edges(&node, Base::Future) } else { Vec::new() };
        let kind = if edges.is_empty() { AwaitKind::Unknown } else { AwaitKind::Future };
        let frame = Some(self.frame(AwaitFrame { name, kind, ..AwaitFrame::default() }));
        Layout::of(Variant { frame, edges, ..Variant::default() })
    }

    /// The ways from a value that lies at the base to what it waits for.
    fn edges(&mut self, node: &WaitNode, base: Base) -> Vec<Edge> {
        let edges: Vec<Edge> = match node {
            WaitNode::Dead => return Vec::new(),
            WaitNode::Unknown(why) => {
                return vec![inside(self.framed(why.to_string(), AwaitKind::Unproved, Vec::new()))];
            }
            WaitNode::Body { place, .. } => self.at(base, place.base, &mut |compiler| {
                let body = compiler.body(node, place.base, None)?;
                Some(vec![inside(compiler.add(body))])
            }),
            WaitNode::Split { place, cases } => {
                self.at(base, place.base, &mut |compiler| Some(vec![inside(compiler.split(*place, cases)?)]))
            }
            WaitNode::Waits { events, .. } => events.iter().flat_map(|event| self.event(event, base)).collect(),
        };
        match node {
            WaitNode::Body { gap: true, .. } | WaitNode::Waits { gap: true, .. } => {
                let unproved = "a frame that is not proved".to_owned();
                vec![inside(self.framed(unproved, AwaitKind::Unproved, edges))]
            }
            _ => edges,
        }
    }

    /// The ways from one base to another, which lies behind pointers in it, and on from there.
    fn at(&mut self, from: Base, to: Base, on: &mut dyn FnMut(&mut Self) -> Option<Vec<Edge>>) -> Vec<Edge> {
        self.pointed(from, to, on, 0).unwrap_or_else(|| {
            let name = NotKnown::Several.to_string();
            vec![inside(self.framed(name, AwaitKind::Unproved, Vec::new()))]
        })
    }

    fn pointed(
        &mut self,
        from: Base,
        to: Base,
        on: &mut dyn FnMut(&mut Self) -> Option<Vec<Edge>>,
        depth: usize,
    ) -> Option<Vec<Edge>> {
        if from == to {
            return on(self);
        }
        let Base::Loaded(number) = to else { return None };
        let pointer = self.ground.places.get(number);
        if pointer.size != 8 || depth > POINTERS_MAX {
            return None;
        }
        let mut through = |compiler: &mut Self| {
            let edges = on(compiler)?;
            let offset = u32::try_from(pointer.offset).ok()?;
            let behind = compiler.add(Layout::of(Variant { edges, ..Variant::default() }));
            Some(vec![Edge { offset, step: Step::Pointer { add: 0 }, to: behind, unless: None }])
        };
        self.pointed(from, pointer.base, &mut through, depth + 1)
    }

    /// An async body whose state lies at so many bytes from the base.
    fn body(&mut self, node: &WaitNode, base: Base, own: Option<&str>) -> Option<Layout> {
        let WaitNode::Body { place, location, states, .. } = node else { return None };
        let discriminant = discriminant(*place)?;
        let source = panic_location::at(self.ground.code.elf, *location)?;
        let called = own.map_or_else(|| format!("{}:{}", source.file, source.line), |own| names::future(own).0);
        let of_kind =
            |compiler: &mut Self, name: String, kind: AwaitKind| Some(compiler.frame(frame_at(&source, name, kind)));
        let mut variants = vec![
            Variant {
                value: Some(0),
                frame: of_kind(self, called.clone(), AwaitKind::Unstarted),
                ..Variant::default()
            },
            Variant { value: Some(1), frame: of_kind(self, called.clone(), AwaitKind::Done), ..Variant::default() },
            Variant { value: Some(2), frame: of_kind(self, called.clone(), AwaitKind::Done), ..Variant::default() },
        ];
        for (state, inner) in states {
            let name = format!("{called} await {}", state - FIRST_WAITING + 1);
            let frame = of_kind(self, name, AwaitKind::Await);
            let edges = self.edges(inner, base);
            variants.push(Variant { value: Some((*state).into()), frame, edges, ..Variant::default() });
        }
        Some(Layout { discriminant: Some(discriminant), variants })
    }

    fn split(&mut self, place: Place, cases: &[(Option<u64>, WaitNode)]) -> Option<u32> {
        let discriminant = Some(discriminant(place)?);
        let variant = |(value, node): &(Option<u64>, WaitNode)| {
            let edges = self.edges(node, place.base);
            Variant { value: *value, edges, ..Variant::default() }
        };
        let variants = cases.iter().map(variant).collect();
        Some(self.add(Layout { discriminant, variants }))
    }

    fn event(&mut self, event: &PollCall, base: Base) -> Vec<Edge> {
        let future = event.arguments.iter().find(|&&(_, value)| value != CodeValue::Address(Base::Context, 0));
        let Some(&(_, CodeValue::Address(of, offset))) = future else { return Vec::new() };
        let Some(function) = event.function else { return self.dynamic(event, (of, offset), base) };
        let relative = |&(place, value): &(usize, CodeValue)| match value {
            CodeValue::Address(Base::Context, _) => (place, value),
            CodeValue::Address(other, at) if other == of => {
                (place, CodeValue::Address(Base::Future, at.wrapping_sub(offset)))
            }
            _ => (place, CodeValue::Unknown(Taint::FUTURE)),
        };
        let arguments = event.arguments.iter().map(relative).collect();
        let to = self.function_layout((function, arguments));
        self.at(base, of, &mut |_| Some(vec![Edge { offset: u32::try_from(offset).ok()?, ..inside(to) }]))
    }

    fn dynamic(&mut self, event: &PollCall, (of, offset): (Base, i64), base: Base) -> Vec<Edge> {
        let data = match of {
            Base::Loaded(number) if offset == 0 => Some(self.ground.places.get(number)),
            _ => None,
        };
        let both = data.zip(event.table).filter(|(data, table)| data.base == table.base && data.size == 8);
        let Some((data, table)) = both else {
            return vec![inside(self.unknown_boxed)];
        };
        self.boxes = true;
        let to = self.unknown_boxed;
        self.at(base, data.base, &mut |_| {
            let vtable = u32::try_from(table.offset).ok()?;
            let step = Step::Boxed { vtable };
            Some(vec![Edge { offset: u32::try_from(data.offset).ok()?, step, to, unless: None }])
        })
    }

    /// All that may be vtables of `dyn Future`, by their shape: a destructor or none, size, alignment, and a function.
    fn boxed(&mut self) {
        let elf = self.ground.code.elf;
        let tables: Vec<(u64, ElfAddr)> = elf.pointer_places().filter_map(|slot| self.vtable_before(slot)).collect();
        for (table, poll) in tables {
            if self.ground.left.get() == 0 {
                break;
            }
            let taken = self.ground.takes.of(self.ground.code, poll).all();
            if taken & 3 != 3 {
                continue;
            }
            let future = CodeValue::Address(Base::Future, 0);
            let context = CodeValue::Address(Base::Context, 0);
            // Where the result is large, its place is the first argument.
            let ways = [vec![(0, future), (1, context)], vec![(1, future), (2, context)]];
            let count = if taken & 4 == 0 { 1 } else { 2 };
            let found = ways.into_iter().take(count).find(|way| polls(&self.node_of(&(poll, way.clone()))));
            if let Some(arguments) = found {
                let layout = self.function_layout((poll, arguments));
                self.program.boxed.push((table, layout));
                self.functions_pending();
            }
        }
    }

    fn vtable_before(&self, slot: ElfAddr) -> Option<(u64, ElfAddr)> {
        let elf = self.ground.code.elf;
        let table = ElfAddr(slot.0.checked_sub(24)?);
        let poll = elf.function_at(elf.pointer(slot)?)?.start;
        let (size, align) = (table.plus(8), table.plus(16));
        if elf.holds_address(size) || elf.holds_address(align) {
            return None;
        }
        let (size, align) = (elf.word(size)?, elf.word(align)?);
        let is_shaped = align.is_power_of_two() && align <= ALIGN_MAX && size <= SIZE_MAX && size.is_multiple_of(align);
        let drops = elf.pointer(table).is_some_and(|glue| elf.function_at(glue).is_some());
        (is_shaped && (drops || elf.word(table) == Some(0))).then_some((table.0, poll))
    }
}

/// Returns `true` if anything of the future is polled.
fn polls(node: &WaitNode) -> bool {
    match node {
        WaitNode::Body { .. } => true,
        WaitNode::Waits { events, .. } => !events.is_empty(),
        WaitNode::Split { cases, .. } => cases.iter().any(|(_, node)| polls(node)),
        WaitNode::Unknown(_) | WaitNode::Dead => false,
    }
}

fn inside(to: u32) -> Edge {
    Edge { offset: 0, step: Step::Inside, to, unless: None }
}

fn discriminant(place: Place) -> Option<Discriminant> {
    Some(Discriminant { offset: u32::try_from(place.offset).ok()?, size: place.size })
}

fn frame_at(source: &SourcePlace, name: String, kind: AwaitKind) -> AwaitFrame {
    AwaitFrame { name, kind, file: Some(source.file.clone()), line: Some(source.line), until: None }
}

fn symbol(code: &Code<'_, '_>, function: ElfAddr) -> Option<String> {
    match code.elf.symbols_at(function) {
        [only] => Some(names::demangled(only.name)),
        _ => None,
    }
}

/// The name of a future that nobody knows more of than the function that polls it.
fn of_function(code: &Code<'_, '_>, function: ElfAddr) -> String {
    let of_symbol = symbol(code, function).map(|name| {
        let ty = name.strip_prefix('<').and_then(|rest| rest.split_once(" as core::future::future::Future>"));
        ty.map_or_else(|| name.clone(), |(ty, _)| ty.to_owned())
    });
    of_symbol.unwrap_or_else(|| format!("future polled at {:#x}", function.0))
}
