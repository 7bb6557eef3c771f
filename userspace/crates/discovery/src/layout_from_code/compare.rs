//! Layouts by code, held against those that type information has of the same file.

use std::collections::{BTreeMap, BTreeSet};

use asyncscope_trace::{
    chain::{Edge, Layout, Program, Step, Variant},
    facts::{AwaitFrame, AwaitKind},
};

/// Values inside each other that are looked at for one link.
const INSIDE_MAX: usize = 4096;
/// Links that are looked at.
const LINKS_MAX: usize = 200_000;

/// Result of the comparison. A link leads from one async body to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Links to async bodies that type information has as well: at the same place, with that state.
    pub right: usize,
    /// Those that it does not have.
    pub wrong: Vec<String>,
    /// Links to boxed futures that it has as well.
    pub boxed: usize,
    /// Links by a pointer that it does not describe.
    pub unchecked: usize,
    /// States of bodies, by what they are shown to wait for.
    pub states: usize,
    /// Of these, those of which something is not known.
    pub unknown: usize,
}

/// A layout by type information, and how far behind the value in hand it lies.
type HeldLayouts = BTreeSet<(u32, i64)>;

/// Compares what both say of the same task types.
#[must_use]
pub fn compare(code: &Program, types: &Program) -> Agreement {
    let mut compared =
        Compared { code, types, agreement: Agreement::default(), seen: BTreeSet::new(), states: BTreeMap::new() };
    for &(vtable, layout) in &code.tasks {
        if let Some(typed) = types.task(vtable) {
            compared.layout(layout, &BTreeSet::from([(typed, 0)]), &format!("task {vtable:#x}"));
        }
    }
    for &(vtable, layout) in &code.boxed {
        if let Some(typed) = types.behind(vtable) {
            compared.layout(layout, &BTreeSet::from([(typed, 0)]), &format!("boxed {vtable:#x}"));
        }
    }
    compared.agreement.states = compared.states.len();
    compared.agreement.unknown = compared.states.values().filter(|unknown| **unknown).count();
    compared.agreement
}

struct Compared<'p> {
    code: &'p Program,
    types: &'p Program,
    agreement: Agreement,
    seen: BTreeSet<(u32, HeldLayouts)>,
    /// By layout and state: whether something is not known.
    states: BTreeMap<(u32, u64), bool>,
}

impl Compared<'_> {
    fn layout(&mut self, number: u32, held: &HeldLayouts, way: &str) {
        let held = self.all_inside(held);
        if self.seen.len() >= LINKS_MAX || !self.seen.insert((number, held.clone())) {
            return;
        }
        let Some(layout) = self.code.layouts.get(number as usize) else { return };
        if is_body(self.code, layout) {
            self.body(number, layout, &held, way);
            return;
        }
        // A frame by a function alone may stand for a body that is not proved.
        let is_framed = layout.variants.iter().any(|variant| variant.frame.is_some());
        let held = if is_framed { self.all_behind(&held) } else { held };
        for variant in &layout.variants {
            let name = frame(self.code, variant).map_or(String::new(), |frame| format!(" > {}", frame.name));
            variant.edges.iter().for_each(|edge| self.edge(edge, &held, &format!("{way}{name}")));
        }
    }

    fn body(&mut self, number: u32, layout: &Layout, held: &HeldLayouts, way: &str) {
        let Some(state) = layout.discriminant else { return };
        let same = |&&(typed, at): &&(u32, i64)| {
            let Some(typed) = self.types.layouts.get(typed as usize) else { return false };
            let of_typed = typed.discriminant.map(|of_typed| (i64::from(of_typed.offset) + at, of_typed.size));
            is_body(self.types, typed)
                && of_typed == Some((i64::from(state.offset), state.size))
                && self.is_same_source(layout, typed)
        };
        let found: Vec<(u32, i64)> = held.iter().filter(same).copied().collect();
        let name = layout.variants.last().and_then(|variant| frame(self.code, variant));
        let name = name.map_or(String::new(), |frame| frame.name.clone());
        if found.is_empty() {
            self.agreement.wrong.push(format!("{way} > {name} with its state at {}", state.offset));
            return;
        }
        self.agreement.right += 1;
        for variant in &layout.variants {
            let Some(value) = variant.value.filter(|&value| value >= 3) else { continue };
            let mut next = HeldLayouts::new();
            for &(typed, at) in &found {
                let typed = &self.types.layouts[typed as usize];
                let of_state = typed.variants.iter().find(|typed| typed.value == Some(value));
                let edges = of_state.iter().flat_map(|typed| &typed.edges);
                next.extend(
                    edges.filter(|edge| edge.step == Step::Inside).map(|edge| (edge.to, at + i64::from(edge.offset))),
                );
            }
            let unknown = variant.edges.iter().any(|edge| self.leads_nowhere(edge.to, 0));
            self.states.insert((number, value), unknown);
            // Pointers of the state itself are looked for in it, as a value without a name.
            let pointers: Vec<Edge> = found
                .iter()
                .flat_map(|&(typed, at)| {
                    let of_state =
                        self.types.layouts[typed as usize].variants.iter().find(|typed| typed.value == Some(value));
                    let edges = of_state.map(|typed| typed.edges.clone()).unwrap_or_default();
                    edges.into_iter().filter_map(move |edge| {
                        let offset = u32::try_from(i64::from(edge.offset) + at).ok()?;
                        (edge.step != Step::Inside).then_some(Edge { offset, ..edge })
                    })
                })
                .collect();
            for edge in &variant.edges {
                self.edge_with(edge, &next, &pointers, &format!("{way} > {name} state {value}"));
            }
        }
    }

    fn edge(&mut self, edge: &Edge, held: &HeldLayouts, way: &str) {
        self.edge_with(edge, held, &[], way);
    }

    fn edge_with(&mut self, edge: &Edge, held: &HeldLayouts, pointers: &[Edge], way: &str) {
        let offset = i64::from(edge.offset);
        let held = self.all_inside(held);
        let of_held = held.iter().flat_map(|&(typed, at)| {
            let variants =
                self.types.layouts.get(typed as usize).map(|typed| typed.variants.clone()).unwrap_or_default();
            variants.into_iter().flat_map(|variant| variant.edges).map(move |edge| (edge, at + i64::from(edge.offset)))
        });
        let all: Vec<(Edge, i64)> =
            of_held.chain(pointers.iter().map(|pointer| (*pointer, i64::from(pointer.offset)))).collect();
        let there: Vec<Edge> = all.into_iter().filter(|&(_, at)| at == offset).map(|(edge, _)| edge).collect();
        match edge.step {
            Step::Inside => {
                let shifted: HeldLayouts = held.iter().map(|&(typed, at)| (typed, at - offset)).collect();
                if pointers.is_empty() || edge.offset != 0 {
                    let moved: Vec<Edge> = pointers
                        .iter()
                        .filter_map(|pointer| {
                            Some(Edge { offset: pointer.offset.checked_sub(edge.offset)?, ..*pointer })
                        })
                        .collect();
                    if moved.is_empty() {
                        return self.layout(edge.to, &shifted, way);
                    }
                    return self.through(edge.to, &shifted, &moved, way);
                }
                self.through(edge.to, &shifted, pointers, way);
            }
            Step::Pointer { add } => {
                let next: HeldLayouts = there
                    .iter()
                    .filter_map(|typed| match typed.step {
                        Step::Pointer { add: of_typed } => Some((typed.to, i64::from(of_typed) - i64::from(add))),
                        _ => None,
                    })
                    .collect();
                if next.is_empty() {
                    self.agreement.unchecked += 1;
                } else {
                    self.layout(edge.to, &next, way);
                }
            }
            Step::Boxed { .. } => {
                if there.iter().any(|typed| matches!(typed.step, Step::Boxed { .. })) {
                    self.agreement.boxed += 1;
                } else {
                    self.agreement.unchecked += 1;
                }
            }
            Step::Slice { .. } | Step::Links { .. } => self.agreement.unchecked += 1,
        }
    }

    /// A layout that is only wrapped around others, with pointers that lie in what it is wrapped around.
    fn through(&mut self, number: u32, held: &HeldLayouts, pointers: &[Edge], way: &str) {
        let Some(layout) = self.code.layouts.get(number as usize) else { return };
        if is_body(self.code, layout) || self.seen.len() >= LINKS_MAX {
            return self.layout(number, held, way);
        }
        self.seen.insert((number, held.clone()));
        for edge in layout.variants.iter().flat_map(|variant| &variant.edges) {
            if edge.to != number {
                self.edge_with(edge, held, pointers, way);
            }
        }
    }

    /// These and all that lies in them, down to the first async bodies.
    fn all_inside(&self, held: &HeldLayouts) -> HeldLayouts {
        let mut all = held.clone();
        let mut pending: Vec<(u32, i64)> = held.iter().copied().collect();
        while let Some((number, at)) = pending.pop() {
            let Some(layout) = self.types.layouts.get(number as usize) else { continue };
            if is_body(self.types, layout) || all.len() > INSIDE_MAX {
                continue;
            }
            for edge in layout.variants.iter().flat_map(|variant| &variant.edges) {
                let inside = (edge.to, at + i64::from(edge.offset));
                if edge.step == Step::Inside && all.insert(inside) {
                    pending.push(inside);
                }
            }
        }
        all
    }

    /// These, and what lies in the bodies among them as well.
    fn all_behind(&self, held: &HeldLayouts) -> HeldLayouts {
        let is_body =
            |number: u32| self.types.layouts.get(number as usize).is_some_and(|layout| is_body(self.types, layout));
        let edges =
            |number: u32| self.types.layouts.get(number as usize).into_iter().flat_map(|layout| &layout.variants);
        let bodies = held.iter().filter(|&&(number, _)| is_body(number));
        let inside: HeldLayouts = bodies
            .flat_map(|&(number, at)| {
                let all = edges(number).flat_map(|variant| &variant.edges);
                all.filter(|edge| edge.step == Step::Inside).map(move |edge| (edge.to, at + i64::from(edge.offset)))
            })
            .collect();
        self.all_inside(&held.union(&inside).copied().collect())
    }

    fn leads_nowhere(&self, number: u32, depth: usize) -> bool {
        let Some(layout) = self.code.layouts.get(number as usize).filter(|_| depth < 8) else { return false };
        let is_unknown = |variant: &Variant| {
            let is_unproved = |frame: &AwaitFrame| frame.kind == AwaitKind::Unproved;
            variant.edges.is_empty() && frame(self.code, variant).is_some_and(is_unproved)
        };
        let on = |variant: &Variant| {
            variant.frame.is_none() && variant.edges.iter().any(|edge| self.leads_nowhere(edge.to, depth + 1))
        };
        layout.variants.iter().any(|variant| is_unknown(variant) || on(variant))
    }

    fn is_same_source(&self, code: &Layout, typed: &Layout) -> bool {
        let file = |program: &Program, layout: &Layout| {
            let mut named = layout.variants.iter().rev().filter_map(|variant| frame(program, variant)?.file.clone());
            let last = |path: String| path.rsplit('/').next().map(ToOwned::to_owned);
            named.find_map(last)
        };
        let (one, other) = (file(self.code, code), file(self.types, typed));
        one.is_none() || other.is_none() || one == other
    }
}

fn frame<'a>(program: &'a Program, variant: &Variant) -> Option<&'a AwaitFrame> {
    program.frames.get(variant.frame? as usize)
}

fn is_body(program: &Program, layout: &Layout) -> bool {
    layout.discriminant.is_some()
        && layout.variants.iter().any(|variant| {
            frame(program, variant)
                .is_some_and(|frame| matches!(frame.kind, AwaitKind::Await | AwaitKind::Unstarted | AwaitKind::Done))
        })
}
