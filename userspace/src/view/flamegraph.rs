//! The flamegraph, as an SVG that browsers let people search and zoom.

use std::io::{self, Write};

use inferno::flamegraph::color::{BasicPalette, Palette};
use inferno::flamegraph::{Options, from_lines};

use super::names::printable;
use super::stacks::{self, Weight};
use super::units::human;
use crate::facts::Facts;
use crate::model::Graph;

/// Writes the flamegraph; one that says so where there is nothing to draw.
///
/// # Errors
///
/// Those of `out`.
pub fn write(graph: &Graph, facts: &Facts, weight: Weight, out: &mut dyn Write) -> io::Result<()> {
    let stacks = stacks::fold(graph, facts, weight);
    let total: u128 = stacks.iter().map(|(_, ns)| u128::from(*ns)).sum();
    if total == 0 {
        return write_empty(graph, weight, out);
    }
    let shift = overflow(total);
    let lines: Vec<String> = stacks.iter().map(|(stack, ns)| format!("{stack} {}", ns >> shift)).collect();
    let mut options = options(graph, facts, weight, total);
    options.factor *= (1u128 << shift) as f64;
    from_lines(&mut options, lines.iter().rev().map(String::as_str), out)
}

/// How many bits to drop from each weight so that their sum stays far from the end of `u64`. Not 0
/// only for times that no real program has.
fn overflow(total: u128) -> u32 {
    const BITS: u32 = 62;
    (u128::BITS - total.leading_zeros()).saturating_sub(BITS)
}

fn options(graph: &Graph, facts: &Facts, weight: Weight, total: u128) -> Options<'static> {
    let mut options = Options::default();
    let name = printable(&facts.process.name);
    options.title = format!("{name}: {}, under the tasks that spawned", weight.meaning());
    options.subtitle = Some(subtitle(graph));
    (options.count_name, options.factor) = unit(total);
    options.name_type = "Task:".to_owned();
    options.deterministic = true;
    // Keeps the order of the lines but for reversing them. The order that inferno would give them
    // draws a frame twice where another's name begins with its name and a character before `;`.
    options.flame_chart = true;
    options.colors = Palette::Basic(palette(weight));
    options
}

fn palette(weight: Weight) -> BasicPalette {
    match weight {
        Weight::Busy => BasicPalette::Hot,
        Weight::Wall => BasicPalette::Green,
        Weight::Wait => BasicPalette::Aqua,
    }
}

/// Counts are drawn as whole numbers: microseconds where that is precise enough.
fn unit(total: u128) -> (String, f64) {
    if total >= 1_000_000_000 { ("µs".to_owned(), 1e-3) } else { ("ns".to_owned(), 1.0) }
}

fn subtitle(graph: &Graph) -> String {
    let totals = graph.totals();
    let span = graph.end_ns().saturating_sub(graph.setup().armed_ns);
    format!("{} watched, {} polls, {} events lost", human(span), totals.polls, totals.lost)
}

fn write_empty(graph: &Graph, weight: Weight, out: &mut dyn Write) -> io::Result<()> {
    let what =
        if graph.totals().polls == 0 { "no polls seen".to_owned() } else { format!("no {} seen", weight.meaning()) };
    let subtitle = subtitle(graph);
    writeln!(
        out,
        concat!(
            r#"<?xml version="1.0" standalone="no"?>"#,
            "\n",
            r#"<svg version="1.1" width="1200" height="100" viewBox="0 0 1200 100" "#,
            r#"xmlns="http://www.w3.org/2000/svg" font-family="monospace" text-anchor="middle">"#,
            r#"<text x="600" y="45" font-size="17">{}</text>"#,
            r#"<text x="600" y="70" font-size="12">{}</text></svg>"#,
        ),
        what, subtitle
    )
}
