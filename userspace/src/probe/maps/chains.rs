//! Layouts of futures, put into the programs' tables.

use aya::{Ebpf, Pod};
use probe_common::chain::{Edge, FRAME_BITS, Layout, NONE, Step, VARIANTS_MAX, Variant};

use super::{fill, insert};
use crate::probe::error::ProbeError;
use asyncscope_trace::chain::{self, Program};

/// The tables.
#[derive(Debug, Default)]
pub(in crate::probe) struct Tables {
    layouts: Vec<[u32; 5]>,
    variants: Vec<[u64; 3]>,
    edges: Vec<[u32; 6]>,
    tasks: Vec<(u64, u32)>,
    boxed: Vec<(u64, u32)>,
}

impl Tables {
    pub(in crate::probe) fn of(program: &Program) -> Self {
        let mut tables = Self { tasks: program.tasks.clone(), boxed: program.boxed.clone(), ..Self::default() };
        program.layouts.iter().for_each(|layout| tables.layout(layout));
        tables
    }

    fn layout(&mut self, layout: &chain::Layout) {
        let is_direct = |(at, variant): (usize, &chain::Variant)| variant.value == Some(at as u64);
        let direct = layout.variants.iter().enumerate().all(is_direct);
        let many = layout.variants.len() > VARIANTS_MAX as usize && !direct;
        let (first, count) = (self.variants.len() as u32, layout.variants.len() as u32);
        let (discriminant, size) = layout.discriminant.map_or((0, 0), |at| (at.offset, u32::from(at.size)));
        // One that cannot be looked through fits nothing.
        let count = if many { 0 } else { count };
        let direct = u32::from(direct && size > 0);
        self.layouts.push(layout_words(Layout { discriminant, size, first, count, direct }));
        layout.variants.iter().for_each(|variant| self.variant(variant));
    }

    fn variant(&mut self, variant: &chain::Variant) {
        let first = self.edges.len() as u32;
        self.edges.extend(variant.edges.iter().map(edge));
        let frame = variant.frame.filter(|&frame| frame >> FRAME_BITS == 0).unwrap_or(NONE);
        let made = Variant {
            value: variant.value.unwrap_or(0),
            any: u32::from(variant.value.is_none()),
            frame,
            first,
            count: variant.edges.len() as u32,
        };
        self.variants.push(variant_words(made));
    }

    /// The size that each table has to have.
    pub(in crate::probe) fn sizes(&self) -> [(&'static str, u32); 6] {
        const REPORTED_MAX: u32 = 1 << 16;
        let size = |len: usize| (len as u32).max(1);
        [
            ("LAYOUTS", size(self.layouts.len())),
            ("VARIANTS", size(self.variants.len())),
            ("EDGES", size(self.edges.len())),
            ("TASKS", size(self.tasks.len())),
            ("BOXED", size(self.boxed.len())),
            ("REPORTED", if self.tasks.is_empty() { 1 } else { REPORTED_MAX }),
        ]
    }

    /// Fills them.
    pub(in crate::probe) fn fill(&self, ebpf: &mut Ebpf) -> Result<(), ProbeError> {
        array(ebpf, "LAYOUTS", &self.layouts)?;
        array(ebpf, "VARIANTS", &self.variants)?;
        array(ebpf, "EDGES", &self.edges)?;
        by_vtable(ebpf, "TASKS", &self.tasks)?;
        by_vtable(ebpf, "BOXED", &self.boxed)
    }
}

fn edge(edge: &chain::Edge) -> [u32; 6] {
    let (step, add) = match edge.step {
        chain::Step::Inside => (Step::Inside, 0),
        chain::Step::Pointer { add } => (Step::Pointer, add),
        chain::Step::Boxed { vtable } => (Step::Boxed, vtable),
        chain::Step::Slice { .. } | chain::Step::Links { .. } => (Step::NotFollowed, 0),
    };
    let (unless, bit) = edge.unless.map_or((NONE, 0), |unless| (unless.pointer, unless.bit.into()));
    edge_words(Edge { offset: edge.offset, step: step as u32, add, to: edge.to, unless, bit })
}

// As they lie in memory: a table's values are plain numbers to aya.
const fn layout_words(layout: Layout) -> [u32; 5] {
    [layout.discriminant, layout.size, layout.first, layout.count, layout.direct]
}

const fn edge_words(edge: Edge) -> [u32; 6] {
    [edge.offset, edge.step, edge.add, edge.to, edge.unless, edge.bit]
}

const fn variant_words(variant: Variant) -> [u64; 3] {
    const fn pair(low: u32, high: u32) -> u64 {
        low as u64 | ((high as u64) << 32)
    }
    [variant.value, pair(variant.any, variant.frame), pair(variant.first, variant.count)]
}

fn array<T: Pod>(ebpf: &mut Ebpf, name: &'static str, values: &[T]) -> Result<(), ProbeError> {
    fill(ebpf, name, &format!("fill the table {name}"), (0..).zip(values.iter().copied()))
}

fn by_vtable(ebpf: &mut Ebpf, name: &'static str, values: &[(u64, u32)]) -> Result<(), ProbeError> {
    insert(ebpf, name, &format!("fill the table {name}"), values.iter().copied())
}
