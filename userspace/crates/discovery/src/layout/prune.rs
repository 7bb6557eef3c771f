//! Pruning: layouts that lead to no future are left out, and those only wrapped around one are passed in one step.

use asyncscope_trace::{
    chain::{Edge, Layout, Program, Step},
    facts::AwaitKind,
};

/// Wrappers inside each other that are passed in one step.
const WRAPPED_MAX: usize = 32;

/// Returns the program without edges that lead to no frame, and with fewer steps.
pub(super) fn pruned(mut program: Program) -> Program {
    let leads_on = leads_on(&program.layouts);
    let leads = |to: u32| leads_on.get(to as usize).copied().unwrap_or(false);
    for variant in program.layouts.iter_mut().flat_map(|layout| &mut layout.variants) {
        variant.edges.retain(|edge| leads(edge.to));
    }
    let short: Vec<Vec<Vec<Edge>>> = program.layouts.iter().map(|layout| shortened(&program.layouts, layout)).collect();
    for (layout, edges) in program.layouts.iter_mut().zip(short) {
        layout.variants.iter_mut().zip(edges).for_each(|(variant, edges)| variant.edges = edges);
    }
    leaves(&mut program);
    used(program)
}

/// Tells for each layout if there is a frame at it or anywhere behind it.
fn leads_on(layouts: &[Layout]) -> Vec<bool> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); layouts.len()];
    let mut leads = vec![false; layouts.len()];
    let mut todo = Vec::new();
    for (number, layout) in layouts.iter().enumerate() {
        for edge in layout.variants.iter().flat_map(|variant| &variant.edges) {
            if let Some(before) = before.get_mut(edge.to as usize) {
                before.push(number as u32);
            }
        }
        if layout.variants.iter().any(|variant| variant.frame.is_some()) {
            todo.push(number as u32);
        }
    }
    while let Some(number) = todo.pop() {
        let Some(known) = leads.get_mut(number as usize) else { continue };
        if !std::mem::replace(known, true) {
            todo.extend(before.get(number as usize).into_iter().flatten());
        }
    }
    leads
}

/// Each variant's edges, past layouts that are nothing but one step inside.
fn shortened(layouts: &[Layout], layout: &Layout) -> Vec<Vec<Edge>> {
    let past = |edge: &Edge| {
        let mut edge = *edge;
        for _ in 0..WRAPPED_MAX {
            let Some(next) = wrapped(layouts, edge.to) else { break };
            match edge.step {
                Step::Inside => {
                    let Some(offset) = edge.offset.checked_add(next.offset) else { break };
                    edge = Edge { offset, unless: edge.unless, ..next };
                }
                Step::Pointer { add } if next.step == Step::Inside => {
                    let Some(add) = add.checked_add(next.offset) else { break };
                    edge = Edge { step: Step::Pointer { add }, to: next.to, ..edge };
                }
                Step::Links { item, next: link } if next.step == Step::Inside => {
                    let Some(item) = item.checked_add(next.offset) else { break };
                    edge = Edge { step: Step::Links { item, next: link }, to: next.to, ..edge };
                }
                _ => break,
            }
        }
        edge
    };
    layout.variants.iter().map(|variant| variant.edges.iter().map(past).collect()).collect()
}

/// The only step of a layout that is nothing but a wrapper.
fn wrapped(layouts: &[Layout], number: u32) -> Option<Edge> {
    let layout = layouts.get(number as usize)?;
    let [variant] = layout.variants.as_slice() else { return None };
    let [edge] = variant.edges.as_slice() else { return None };
    let plain = layout.discriminant.is_none()
        && variant.frame.is_none()
        && edge.unless.is_none()
        && !matches!(edge.step, Step::Boxed { .. } | Step::Slice { .. });
    plain.then_some(*edge)
}

/// A future written by hand without any futures inside waits for something by itself.
fn leaves(program: &mut Program) {
    let mut leads = vec![false; program.frames.len()];
    for variant in
        program.layouts.iter().flat_map(|layout| &layout.variants).filter(|variant| !variant.edges.is_empty())
    {
        if let Some(leads) = variant.frame.and_then(|frame| leads.get_mut(frame as usize)) {
            *leads = true;
        }
    }
    for (frame, leads) in program.frames.iter_mut().zip(leads) {
        if frame.kind == AwaitKind::Future && !leads {
            frame.kind = AwaitKind::Leaf;
        }
    }
}

/// Only the layouts that a task or a box leads to, numbered anew.
fn used(program: Program) -> Program {
    let mut numbers: Vec<Option<u32>> = vec![None; program.layouts.len()];
    let mut order = Vec::new();
    let mut todo: Vec<u32> = program.tasks.iter().chain(&program.boxed).map(|&(_, layout)| layout).collect();
    while let Some(number) = todo.pop() {
        let (Some(place), Some(layout)) = (numbers.get_mut(number as usize), program.layouts.get(number as usize))
        else {
            continue;
        };
        if place.is_none() {
            *place = Some(order.len() as u32);
            order.push(number);
            todo.extend(layout.variants.iter().flat_map(|variant| &variant.edges).map(|edge| edge.to));
        }
    }
    let new = |number: u32| numbers.get(number as usize).copied().flatten().unwrap_or(u32::MAX);
    let renumbered = |table: Vec<(u64, u32)>| table.into_iter().map(|(at, number)| (at, new(number))).collect();
    let layouts = order.iter().filter_map(|&number| program.layouts.get(number as usize).cloned()).map(|mut layout| {
        let edges = layout.variants.iter_mut().flat_map(|variant| &mut variant.edges);
        edges.for_each(|edge| edge.to = new(edge.to));
        layout
    });
    Program {
        layouts: layouts.collect(),
        boxed: renumbered(program.boxed),
        tasks: renumbered(program.tasks),
        frames: program.frames,
        source: program.source,
    }
}
