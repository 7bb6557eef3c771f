//! Folded stacks as text: `frame;frame;frame nanoseconds`, one a line.

use std::io::{self, Write};

use super::stacks::{self, Weight};
use crate::facts::Facts;
use crate::model::Graph;

/// Writes the stacks.
///
/// # Errors
///
/// Those of `out`.
pub fn write(graph: &Graph, facts: &Facts, weight: Weight, out: &mut dyn Write) -> io::Result<()> {
    for (stack, ns) in stacks::fold(graph, facts, weight) {
        writeln!(out, "{stack} {ns}")?;
    }
    Ok(())
}
