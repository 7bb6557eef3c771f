//! Folded stacks as text: `frame;frame;frame nanoseconds`, one a line.

use std::io::{self, Write};

use super::stacks::GraphPart;
use super::weight::Weight;
use asyncscope_model::Graph;
use asyncscope_trace::facts::Facts;

/// Writes the stacks, those of all tasks or of some requests.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(
    graph: &Graph,
    facts: &Facts,
    weight: Weight,
    part: &GraphPart<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (stack, ns) in part.fold(graph, facts, weight) {
        writeln!(out, "{stack} {ns}")?;
    }
    Ok(())
}
